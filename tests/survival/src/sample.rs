//! What processes take: memory, file handles, threads, disk; and whether it stays the same.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

/// One look at one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The node.
    pub node: u16,
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// Which life of the process: it counts its starts.
    pub life: u32,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Open file handles.
    pub handles: u64,
    /// Threads.
    pub threads: u64,
    /// Bytes that its folder takes on the disk.
    pub disk: u64,
}

/// Looks at a process and its folder; none when it is gone.
#[must_use]
pub fn look(pid: i32, folder: &Path) -> Option<(u64, u64, u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let handles = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some((
        field("VmRSS:")? * 1_024,
        handles,
        field("Threads:")?,
        disk(folder),
    ))
}

/// Bytes that the files below a folder take on the disk.
#[must_use]
pub fn disk(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else {
            continue;
        };
        bytes += if meta.is_dir() {
            disk(&entry.path())
        } else {
            meta.blocks() * 512
        };
    }
    bytes
}

/// The slope of points by Theil and Sen, the median of the slopes of all pairs: outliers do not move it.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    // All pairs of at most so many points.
    const POINTS_MAX: usize = 300;
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let kept: Vec<_> = points.iter().step_by(step).collect();
    let mut slopes = Vec::new();
    for (at, (x, y)) in kept.iter().enumerate() {
        for (later_x, later_y) in kept.iter().skip(at + 1) {
            if later_x > x {
                slopes.push((later_y - y) / (later_x - x));
            }
        }
    }
    median(&mut slopes)
}

/// The middle of values; none of none.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Whether a quantity stayed the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flatness {
    /// Which quantity.
    pub name: String,
    /// Its median after the warm-up.
    pub median: f64,
    /// Its unit.
    pub unit: String,
    /// By how much it grew from the end of the warm-up to the end, by its slope.
    pub growth: f64,
    /// The bound on that.
    pub bound: f64,
    /// Whether it is kept.
    pub verdict: Verdict,
}

/// Whether a quantity stayed the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It did.
    Flat,
    /// It did not.
    Grows,
    /// The run was too short to tell: what it fills may not have been full.
    TooShort,
}

impl Verdict {
    /// In a word.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Grows => "**grows**",
            Self::TooShort => "not judged: the run is too short",
        }
    }
}

/// Judges a series: growth over its length may be `part` of its median, or `least`, whichever is more.
#[must_use]
pub fn flatness(
    name: &str,
    unit: &str,
    points: &[(f64, f64)],
    part: f64,
    least: f64,
) -> Option<Flatness> {
    let (first, last) = (points.first()?, points.last()?);
    let mut values: Vec<_> = points.iter().map(|(_, y)| *y).collect();
    let median = median(&mut values)?;
    let growth = slope(points)? * (last.0 - first.0);
    let bound = (median * part).max(least);
    Some(Flatness {
        name: name.to_owned(),
        median,
        unit: unit.to_owned(),
        growth,
        bound,
        verdict: if growth <= bound {
            Verdict::Flat
        } else {
            Verdict::Grows
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..200)
            .map(|i| (f64::from(i), value(f64::from(i))))
            .collect()
    }

    #[test]
    fn a_leak_is_not_flat_and_noise_is() {
        let leak = series(|x| 100.0 + x);
        let found = flatness("memory", "MiB", &leak, 0.2, 1.0).unwrap();
        assert_eq!(found.verdict, Verdict::Grows);
        assert!((found.growth - 199.0).abs() < 1e-6);
        let noise = series(|x| 100.0 + 30.0 * (x * 1.7).sin());
        let falling = series(|x| 1_000.0 - x);
        for steady in [noise, falling] {
            let found = flatness("memory", "MiB", &steady, 0.2, 1.0).unwrap();
            assert_eq!(found.verdict, Verdict::Flat);
        }
    }

    #[test]
    fn a_single_peak_does_not_make_a_slope() {
        let peak = series(|x| if x > 190.0 { 900.0 } else { 100.0 });
        let found = flatness("memory", "MiB", &peak, 0.2, 1.0).unwrap();
        assert_eq!(found.verdict, Verdict::Flat, "{found:?}");
    }

    #[test]
    fn one_point_says_nothing() {
        assert_eq!(flatness("x", "", &[(1.0, 1.0)], 0.1, 0.1), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![1; 100_000]).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let (memory, handles, threads, disk) = look(own, dir.path()).unwrap();
        assert!(memory > 100_000 && handles > 2 && threads > 0);
        assert!(disk >= 98_304, "{disk}");
        assert_eq!(look(i32::MAX, dir.path()), None);
    }
}
