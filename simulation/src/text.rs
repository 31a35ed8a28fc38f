//! Plans as text: what differs from the plan that the seed draws, so that any run is one command.

use hawser_crypto::Suite;
use hawser_ledger::Verification;

use crate::{CrashPoint, Misdeeds, Mutant, Plan};

enum Field<'a> {
    U16(&'a mut u16),
    U32(&'a mut u32),
    U64(&'a mut u64),
    Usize(&'a mut usize),
    Bool(&'a mut bool),
}

/// Names of the numbers of a plan.
const NUMBERS: [&str; 34] = [
    "chains",
    "nodes",
    "loss",
    "duplicate",
    "delay",
    "hold",
    "crash",
    "partition",
    "one_way",
    "flap",
    "skew",
    "jump",
    "jump_max",
    "sync",
    "disk_error",
    "full",
    "tail_flip",
    "rolling",
    "faulty_ms",
    "healing_ms",
    "transactions",
    "candidates",
    "observers",
    "changes",
    "upgrade",
    "egress",
    "interval",
    "audit",
    "liars",
    "forgeries",
    "mute",
    "idle",
    "byzantine",
    "rotten",
];

impl Plan {
    fn field(&mut self, name: &str) -> Option<Field<'_>> {
        let faults = &mut self.faults;
        Some(match name {
            "chains" => Field::Usize(&mut self.chains),
            "nodes" => Field::Usize(&mut self.nodes),
            "loss" => Field::U32(&mut faults.loss_per_mille),
            "duplicate" => Field::U32(&mut faults.duplicate_per_mille),
            "delay" => Field::U64(&mut faults.delay_ms_max),
            "hold" => Field::U32(&mut faults.hold_per_mille),
            "crash" => Field::U32(&mut faults.crash_per_million),
            "partition" => Field::U64(&mut faults.partition_every_ms),
            "one_way" => Field::U32(&mut faults.one_way_per_mille),
            "flap" => Field::U32(&mut faults.flap_per_mille),
            "skew" => Field::U64(&mut faults.clock_skew_ms_max),
            "jump" => Field::U64(&mut faults.jump_every_ms),
            "jump_max" => Field::U64(&mut faults.jump_ms_max),
            "sync" => Field::U64(&mut faults.sync_ms_max),
            "disk_error" => Field::U32(&mut faults.disk_error_per_mille),
            "full" => Field::U64(&mut faults.full_every_ms),
            "tail_flip" => Field::U32(&mut faults.tail_flip_per_mille),
            "rolling" => Field::U64(&mut faults.rolling_every_ms),
            "faulty_ms" => Field::U64(&mut self.faulty_ms),
            "healing_ms" => Field::U64(&mut self.healing_ms),
            "transactions" => Field::Usize(&mut self.transactions),
            "candidates" => Field::Usize(&mut self.candidates),
            "observers" => Field::Usize(&mut self.observers),
            "changes" => Field::Usize(&mut self.changes),
            "upgrade" => Field::Bool(&mut self.upgrade),
            "egress" => Field::U64(&mut self.egress_bytes_per_s),
            "interval" => Field::U64(&mut self.block_interval_ms_min),
            "audit" => Field::U16(&mut self.audit_per_mille),
            "liars" => Field::Usize(&mut self.liars),
            "forgeries" => Field::Usize(&mut self.forgeries),
            "mute" => Field::Usize(&mut self.mute_attesters),
            "idle" => Field::Usize(&mut self.idle_relays),
            "byzantine" => Field::Usize(&mut self.byzantine),
            "rotten" => Field::Usize(&mut self.rotten),
            _ => return None,
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        let mut copy = self.clone();
        let text = match name {
            "suite" => self.suite.to_string(),
            "attested" => u8::from(self.verification == Verification::Quorum).to_string(),
            "misdeeds" => self.misdeeds.to_string(),
            "mutant" => self
                .mutant
                .map_or("none".to_owned(), |mutant| mutant.name().to_owned()),
            "skip" => ranges(&self.skip),
            "crash_point" => match self.crash_point {
                None => "none".to_owned(),
                Some((node, CrashPoint::Step(n))) => format!("{node}:step:{n}"),
                Some((node, CrashPoint::Disk(n))) => format!("{node}:disk:{n}"),
                Some((node, CrashPoint::Kv(n))) => format!("{node}:kv:{n}"),
            },
            _ => match copy.field(name)? {
                Field::U16(value) => value.to_string(),
                Field::U32(value) => value.to_string(),
                Field::U64(value) => value.to_string(),
                Field::Usize(value) => value.to_string(),
                Field::Bool(value) => u8::from(*value).to_string(),
            },
        };
        Some(text)
    }

    /// Names of everything that [`Self::apply`] can set.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let words = [
            "suite",
            "attested",
            "misdeeds",
            "skip",
            "crash_point",
            "mutant",
        ];
        NUMBERS.into_iter().chain(words)
    }

    /// What differs from another plan, as `name=value` separated by commas: [`Self::apply`] makes
    /// this plan of that one. Loads are not part of it.
    #[must_use]
    pub fn difference(&self, from: &Self) -> String {
        let changed = Self::names().filter_map(|name| {
            let value = self.value(name)?;
            (from.value(name)? != value).then(|| format!("{name}={value}"))
        });
        changed.collect::<Vec<_>>().join(",")
    }

    /// Sets what a text of `name=value` pairs, separated by commas, names.
    pub fn apply(&mut self, text: &str) -> Result<(), String> {
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("'{pair}' is not name=value"))?;
            self.set(name.trim(), value.trim())?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let bad = || format!("'{value}' cannot be the value of {name}");
        match name {
            "suite" => {
                let mut all = Suite::ALL.into_iter();
                let found = all.find(|suite| suite.to_string() == value);
                self.suite = found.ok_or_else(bad)?;
            }
            "attested" => {
                self.verification = match value {
                    "0" => Verification::All,
                    "1" => Verification::Quorum,
                    _ => return Err(bad()),
                };
            }
            "misdeeds" => self.misdeeds = Misdeeds::parse(value).ok_or_else(bad)?,
            "mutant" if value == "none" => self.mutant = None,
            "mutant" => self.mutant = Some(Mutant::parse(value).ok_or_else(bad)?),
            "skip" => self.skip = parse_ranges(value).ok_or_else(bad)?,
            "crash_point" if value == "none" => self.crash_point = None,
            "crash_point" => self.crash_point = Some(parse_point(value).ok_or_else(bad)?),
            _ => match self.field(name) {
                Some(Field::U16(to)) => *to = value.parse().map_err(|_| bad())?,
                Some(Field::U32(to)) => *to = value.parse().map_err(|_| bad())?,
                Some(Field::U64(to)) => *to = value.parse().map_err(|_| bad())?,
                Some(Field::Usize(to)) => *to = value.parse().map_err(|_| bad())?,
                Some(Field::Bool(to)) => {
                    *to = match value {
                        "0" => false,
                        "1" => true,
                        _ => return Err(bad()),
                    }
                }
                None => {
                    let names: Vec<_> = Self::names().collect();
                    return Err(format!(
                        "a plan has no '{name}'; it has {}",
                        names.join(", ")
                    ));
                }
            },
        }
        Ok(())
    }
}

fn parse_point(text: &str) -> Option<(usize, CrashPoint)> {
    let mut parts = text.split(':');
    let node = parts.next()?.parse().ok()?;
    let kind = parts.next()?;
    let n = parts.next()?.parse().ok()?;
    let point = match kind {
        "step" => CrashPoint::Step(n),
        "disk" => CrashPoint::Disk(n),
        "kv" => CrashPoint::Kv(n),
        _ => return None,
    };
    parts.next().is_none().then_some((node, point))
}

/// Ascending numbers as `1+4-9+12`.
fn ranges(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let one = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(one).collect::<Vec<_>>().join("+")
}

fn parse_ranges(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for run in text.split('+').filter(|run| !run.is_empty()) {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        // No run has more single faults than this.
        if last.checked_sub(first)? > 1_000_000 {
            return None;
        }
        all.extend(first..=last);
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_comes_back_from_its_difference_to_another() {
        let base = Plan::draw(1);
        for seed in 1..200 {
            let mut plan = Plan::draw(seed);
            plan.skip = vec![1, 4, 5, 6, 9];
            plan.crash_point = Some((2, CrashPoint::Disk(seed)));
            plan.mutant = Mutant::all().nth(usize::try_from(seed).unwrap() % 20);
            let text = plan.difference(&base);
            let mut made = base.clone();
            made.apply(&text).unwrap();
            made.seed = seed;
            assert_eq!(made, plan, "{text}");
            assert_eq!(made.difference(&plan), "");
        }
    }

    #[test]
    fn a_wrong_name_or_value_is_refused_with_the_names_there_are() {
        let mut plan = Plan::calm(1);
        assert!(plan.apply("los=3").unwrap_err().contains("loss"));
        assert!(plan.apply("loss=x").is_err());
        assert!(plan.apply("loss").is_err());
        assert!(plan.apply("skip=9-3").is_err());
        assert!(plan.apply("misdeeds=garbage+nonsense").is_err());
        plan.apply("loss=7,misdeeds=garbage+flood,skip=3-5+8")
            .unwrap();
        assert_eq!(plan.faults.loss_per_mille, 7);
        assert_eq!(plan.skip, [3, 4, 5, 8]);
    }
}
