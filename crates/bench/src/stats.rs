//! Summaries of samples.

use serde::Serialize;

/// Percentiles of a set of durations, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Number of samples.
    pub samples: usize,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

/// Median and range of one figure over the runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Number of runs.
    pub runs: usize,
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// The nearest-rank percentile of sorted values: the smallest that at least `percent` per cent of
/// all do not exceed. `None` without values.
fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100).max(1);
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Percentiles {
    /// Of durations in milliseconds; `None` without any.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            samples: values.len(),
            p50_ms: nearest_rank(&values, 50)?,
            p95_ms: nearest_rank(&values, 95)?,
            p99_ms: nearest_rank(&values, 99)?,
            max_ms: values.last().copied()?,
        })
    }
}

impl Spread {
    /// Of one value per run; `None` without any. The median of an even number of values is the
    /// mean of the two in the middle.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let high = values.get(middle).copied()?;
        let median = if values.len() % 2 == 0 {
            f64::midpoint(values.get(middle.saturating_sub(1)).copied()?, high)
        } else {
            high
        };
        Some(Self {
            runs: values.len(),
            median,
            min: values.first().copied()?,
            max: values.last().copied()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let all = Percentiles::of((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!(
            (all.p50_ms, all.p95_ms, all.p99_ms, all.max_ms, all.samples),
            (100.0, 190.0, 198.0, 200.0, 200)
        );
        let one = Percentiles::of(vec![7.0]).unwrap();
        assert_eq!((one.p50_ms, one.p99_ms), (7.0, 7.0));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn the_median_of_even_and_odd_numbers_of_runs() {
        let odd = Spread::of([3.0, 1.0, 10.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 10.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }
}
