use super::*;

const PIECE: u64 = 256 * 1024;
const MS: u64 = 1_000;

/// A disk with syncs one after the other and a writer that always has more, in steps of a millisecond.
struct World {
    valve: Valve,
    now_ms: u64,
    /// When the sync under way ends, and how long it took then.
    sync: Option<(u64, u64)>,
    next_sync_ms: u64,
    /// When the next piece is due.
    piece: Option<u64>,
    written: u64,
}

impl World {
    fn new() -> Self {
        Self {
            valve: Valve::default(),
            now_ms: 1,
            sync: None,
            next_sync_ms: 0,
            piece: None,
            written: 0,
        }
    }

    /// Lets time pass with a sync every 10 ms that takes `sync_ms`, 0 for none at all, and a writer bounded by
    /// `most`, if there is one; gives the bytes written meanwhile.
    fn pass(&mut self, ms: u64, sync_ms: u64, most: Option<u64>) -> u64 {
        let before = self.written;
        for _ in 0..ms {
            self.now_ms += 1;
            let now = self.now_ms * MS;
            if let Some((_, took)) = self.sync.take_if(|(end, _)| *end <= self.now_ms) {
                self.valve.ended(now, Some(took * MS));
                self.next_sync_ms = self.now_ms + 10;
            }
            if self.sync.is_none() && sync_ms > 0 && self.now_ms >= self.next_sync_ms {
                self.valve.began(now);
                self.sync = Some((self.now_ms + sync_ms, sync_ms));
            }
            // Several fit into a millisecond.
            while let Some(most) = most {
                let due = *self
                    .piece
                    .get_or_insert_with(|| self.valve.reserve(now, PIECE, most));
                if self.valve.left_us(now, due) > 0 {
                    break;
                }
                self.piece = None;
                self.written += PIECE;
            }
        }
        self.written - before
    }
}

#[test]
fn where_nobody_waits_for_the_disk_it_goes_as_fast_as_it_may() {
    let mut world = World::new();
    let written = world.pass(4_000, 0, Some(32 * MIB));
    assert!(written.abs_diff(4 * 32 * MIB) <= MIB, "{written}");
    // And again a second after the last sync.
    world.pass(2_000, 300, Some(32 * MIB));
    world.sync = None;
    world.valve.ended(world.now_ms * MS, Some(MS));
    world.pass(1_000, 0, Some(32 * MIB));
    let written = world.pass(1_000, 0, Some(32 * MIB));
    assert!(written.abs_diff(32 * MIB) <= 3 * MIB, "{written}");
}

#[test]
fn it_begins_slowly_and_rises_to_what_is_allowed_while_syncs_take_as_long_as_usual() {
    let mut world = World::new();
    world.pass(1_000, 2, None);
    let first = world.pass(1_000, 2, Some(16 * MIB));
    assert!((4 * MIB..8 * MIB).contains(&first), "{first}");
    let second = world.pass(1_000, 2, Some(16 * MIB));
    assert!(second > first + 3 * MIB, "{second} after {first}");
    world.pass(3_000, 2, Some(16 * MIB));
    let full = world.pass(1_000, 2, Some(16 * MIB));
    assert!(full.abs_diff(16 * MIB) <= MIB, "{full}");
    // After a rest it begins slowly again.
    world.pass(3_000, 2, None);
    world.piece = None;
    let again = world.pass(1_000, 2, Some(16 * MIB));
    assert!(again < 8 * MIB, "{again}");
}

#[test]
fn one_late_sync_takes_the_rate_down_by_how_late_it_was_and_once() {
    for (late_ms, rate) in [
        (21, 16 * MIB),
        (80, 8 * MIB),
        (160, 4 * MIB),
        (5_000, FLOOR_BYTES_PER_S),
    ] {
        let mut world = World::new();
        world.pass(1_000, 2, None);
        world.pass(9_000, 2, Some(32 * MIB));
        assert_eq!(world.valve.rate, 32 * MIB);
        let now = world.now_ms * MS;
        // Three chains of one node that wait for the same disk.
        for _ in 0..3 {
            world.valve.began(now);
        }
        for _ in 0..3 {
            world.valve.ended(now, Some(late_ms * MS));
        }
        assert!(
            world.valve.rate.abs_diff(rate) < MIB,
            "{}",
            world.valve.rate
        );
        assert!(world.valve.is_strained(now));
    }
}

#[test]
fn a_piece_waits_for_a_late_sync_that_is_under_way_but_not_for_ever() {
    let mut world = World::new();
    world.pass(3_000, 2, Some(32 * MIB));
    let now = world.now_ms * MS;
    if world.sync.take().is_some() {
        world.valve.ended(now, Some(2 * MS));
    }
    world.valve.began(now);
    let on_time = world.valve.left_us(now + LATE_US_MIN, now);
    assert_eq!(on_time, 0, "it is not late yet");
    let due = now + 100 * MS;
    assert_eq!(world.valve.left_us(due, due), STALL_US_MAX);
    assert_eq!(world.valve.left_us(due + 200 * MS, due), 50 * MS);
    assert_eq!(world.valve.left_us(due + STALL_US_MAX, due), 0);
    world.valve.ended(due, Some(100 * MS));
    assert_eq!(world.valve.left_us(due, due), 0);
}

#[test]
fn work_ends_on_a_disk_whose_syncs_are_always_late() {
    let mut world = World::new();
    world.pass(1_000, 2, None);
    // Each takes four seconds, and the next begins 10 ms later.
    let written = world.pass(60_000, 4_000, Some(32 * MIB));
    let floor = 60 * FLOOR_BYTES_PER_S;
    assert!(written >= floor - MIB, "{written} bytes in a minute");
    assert!(written < 2 * floor, "{written} bytes in a minute");
}

#[test]
fn syncs_that_are_late_for_other_reasons_hold_nothing_back_and_become_what_is_usual() {
    let mut world = World::new();
    world.pass(1_000, 2, None);
    let rate = world.valve.rate;
    world.pass(20_000, 60, None);
    assert_eq!(world.valve.rate, rate);
    // On a disk that is always as slow as this the writer gets its share.
    world.pass(8_000, 60, Some(16 * MIB));
    let written = world.pass(1_000, 60, Some(16 * MIB));
    assert!(written.abs_diff(16 * MIB) <= MIB, "{written}");
}

#[test]
fn what_the_writer_does_to_syncs_does_not_become_what_is_usual() {
    let mut world = World::new();
    world.pass(1_000, 2, None);
    let usual = world.valve.usual_us;
    world.pass(60_000, 60, Some(16 * MIB));
    assert!(world.valve.usual_us <= usual, "{}", world.valve.usual_us);
    let written = world.pass(10_000, 60, Some(16 * MIB));
    assert!(written <= 10 * 2 * FLOOR_BYTES_PER_S, "{written}");
}

#[test]
fn a_sync_that_was_none_teaches_nothing() {
    let gate = Gate::default();
    gate.sync_begins().was_none();
    assert_eq!(gate.valve.lock().usual_us, 0);
    assert_eq!(gate.valve.lock().waiting, 0);
    drop(gate.sync_begins());
    assert!(gate.valve.lock().usual_us > 0);
    assert_eq!(gate.valve.lock().waiting, 0);
}

#[test]
fn who_is_to_stop_does_not_wait() {
    let gate = Gate::default();
    let _waiting = gate.sync_begins();
    let began = Instant::now();
    for _ in 0..100 {
        gate.turn(1 << 20, 1 << 20, &|| true);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}
