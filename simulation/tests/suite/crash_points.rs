//! One validator is stopped at every place at which something becomes durable or leaves, one place
//! after another, and everything must still hold.

use hawser_simulation::{CrashPoint, Faults, Outcome, Places, Plan, World};

/// Of every kind of place, all are gone through up to this many; longer runs are thinned out.
const PLACES_MAX: u64 = 1_000;

fn plan(crash_point: Option<(usize, CrashPoint)>) -> Plan {
    Plan {
        faults: Faults {
            delay_ms_max: 3,
            ..Faults::default()
        },
        faulty_ms: 600,
        transactions: 3,
        crash_point,
        ..Plan::calm(7)
    }
}

fn run(crash_point: Option<(usize, CrashPoint)>) -> Outcome {
    let outcome = World::new(plan(crash_point)).and_then(World::run);
    outcome.unwrap_or_else(|violation| panic!("stopped at {crash_point:?}: {violation}"))
}

fn every(count: fn(&Places) -> u64, point: fn(u64) -> CrashPoint) {
    let calm = run(None);
    let node = 1;
    let places = count(&calm.places[node]);
    assert!(places >= 10, "only {places} places");
    let step = places.div_ceil(PLACES_MAX).max(1);
    let mut stopped = 0;
    for place in (0..places).step_by(usize::try_from(step).unwrap()) {
        let outcome = run(Some((node, point(place))));
        assert_eq!(outcome.executed, calm.executed);
        stopped += outcome.crashes;
    }
    println!("{places} places, every {step}., {stopped} times stopped");
    assert!(stopped >= places / step * 9 / 10);
}

#[test]
fn stopped_at_every_step_of_carrying_out_actions() {
    every(|places| places.steps, CrashPoint::Step);
}

#[test]
fn stopped_at_every_change_and_sync_of_the_disk() {
    every(|places| places.disk, CrashPoint::Disk);
}

#[test]
fn stopped_at_every_write_and_persist_of_the_key_value_store() {
    every(|places| places.kv, CrashPoint::Kv);
}
