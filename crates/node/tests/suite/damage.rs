//! Folders with damage: what a check says of them, and what a repair makes of them.

use std::sync::Arc;

use crate::maker::{self, genesis, grow, open, options};
use hawser_node::chain::write_vote_guard;
use hawser_node::replica::{GuardReason, VoteGuard};
use hawser_node::store::{
    ChainStore, KEEP_BLOCKS_MIN, VOTE_GUARD, VOTE_LOG,
    check::{CheckReport, Part, Plan, Step, check, repair},
};
use hawser_primitives::Height;
use hawser_storage::{Batch, Column, Disk, Kv, LogOptions, MemDisk, MemKv, SyncedLog};

const SEGMENT_BYTES: u64 = 16 * 1024;

struct Folder {
    disk: MemDisk,
    kv: Arc<MemKv>,
}

impl Folder {
    fn new(length: u64) -> Self {
        let folder = Self {
            disk: MemDisk::new(3),
            kv: Arc::new(MemKv::new()),
        };
        let store = folder.start(None);
        grow(&store, length).unwrap();
        store.flush().unwrap();
        folder.kv.persist().unwrap();
        let (mut log, _) = SyncedLog::open(folder.disk(), VOTE_LOG, LogOptions::default()).unwrap();
        for height in [1u64, 2] {
            let (block, _) = maker::next(&store, Vec::new(), height);
            let block = block.block.as_ref().clone();
            let entry = hawser_node::replica::LogEntry::Block(block);
            log.append(&hawser_primitives::encode(&entry)).unwrap();
            log.sync().unwrap();
        }
        folder
    }

    fn copy(&self) -> Self {
        Self {
            disk: self.disk.crash(1),
            kv: Arc::new(self.kv.crash()),
        }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    fn start(&self, keep: Option<u64>) -> ChainStore {
        let kv: Arc<dyn Kv> = Arc::<MemKv>::clone(&self.kv);
        open(self.disk(), kv, options(SEGMENT_BYTES, keep)).unwrap()
    }

    fn check(&self) -> CheckReport {
        let before = self.disk.list().unwrap();
        let report = check(&self.disk(), Ok(&*self.kv), &genesis(), 1, &|_| {}).unwrap();
        assert_eq!(self.disk.list().unwrap(), before, "a check changes nothing");
        report
    }

    /// Repairs, and lets the node make again what it can.
    fn repair(&mut self, report: &CheckReport) -> Vec<Step> {
        let Plan::Steps { steps, votes } = report.plan(false) else {
            panic!("{report:?}");
        };
        assert!(!votes);
        for step in &steps {
            if *step == Step::MakeAgain {
                self.kv = Arc::new(MemKv::new());
            }
            repair(&self.disk(), step).unwrap();
        }
        let store = self.start(None);
        store.flush().unwrap();
        drop(store);
        self.kv.persist().unwrap();
        let after = self.check();
        assert!(after.is_sound(), "{after:?}");
        steps
    }

    fn files(&self, begin: &str, end: &str) -> Vec<String> {
        let list = self.disk.list().unwrap().into_iter();
        list.map(|(name, _)| name)
            .filter(|name| name.starts_with(begin) && name.ends_with(end))
            .collect()
    }

    fn len(&self, name: &str) -> usize {
        usize::try_from(self.disk.open(name).unwrap().unwrap().len().unwrap()).unwrap()
    }
}

#[test]
fn a_sound_folder_is_verified_from_the_genesis_and_nothing_is_found() {
    let folder = Folder::new(300);
    let report = folder.check();
    assert!(report.is_sound() && report.unclear.is_empty(), "{report:?}");
    assert!(report.from_genesis);
    assert_eq!((report.first, report.last), (Height(1), Some(Height(300))));
    assert!(report.state.unwrap() > Height(290));
    let counts = report.counts;
    assert_eq!((counts.blocks, counts.votes), (300, 2));
    assert!(counts.receipts >= 290 && counts.pages > 0 && counts.rows > 290);
    assert_eq!(report.plan(true), Plan::Nothing);
}

#[test]
fn a_flipped_bit_is_found_in_every_file_and_mended_where_that_is_safe() {
    let folder = Folder::new(300);
    for (begin, end, part) in [
        ("blocks-", ".seg", Part::Blocks),
        ("receipts-", ".seg", Part::Receipts),
        ("blocks-", ".idx", Part::IndexFile),
        ("state-", ".pag", Part::State),
        ("state-", ".jnl", Part::State),
    ] {
        let mut copy = folder.copy();
        let name = copy.files(begin, end).remove(0);
        // Of the pages the one written last: the first one may be needed no more.
        let at = if end == ".pag" {
            copy.len(&name) - 5
        } else {
            60
        };
        assert!(copy.disk.flip_bit(&name, at, 2), "{name}");
        let report = copy.check();
        assert!(report.has(part), "{name}: {report:?}");
        let of_part = report.findings.iter().find(|one| one.part == part).unwrap();
        let told = format!("{} {}", of_part.file, of_part.reason);
        assert!(part == Part::State || of_part.file == name, "{told}");
        let steps = copy.repair(&report);
        match part {
            Part::Blocks => {
                let cut = Step::CutBlocks { after: Height(0) };
                assert_eq!(steps, [cut, Step::MakeAgain]);
            }
            Part::IndexFile => assert_eq!(steps, [Step::RemoveIndexFiles(vec![name])]),
            _ => assert_eq!(steps, [Step::MakeAgain]),
        }
    }
}

#[test]
fn damage_in_the_middle_costs_the_blocks_behind_it_and_no_others() {
    let folder = Folder::new(300);
    for kind in ["flip", "remove", "shorten"] {
        let mut copy = folder.copy();
        let name = copy.files("blocks-", ".seg").remove(2);
        match kind {
            "flip" => assert!(copy.disk.flip_bit(&name, copy.len(&name) / 2, 0)),
            "remove" => copy.disk.remove(&name).unwrap(),
            _ => {
                let half = copy.len(&name) / 2;
                copy.disk
                    .open(&name)
                    .unwrap()
                    .unwrap()
                    .truncate(half as u64)
                    .unwrap();
            }
        }
        let report = copy.check();
        let first: u64 = name[7..27].parse().unwrap();
        let last = report.last.unwrap();
        assert!(
            last.0 + 1 >= first && last < Height(200),
            "{kind}: {report:?}"
        );
        let steps = copy.repair(&report);
        assert_eq!(
            steps,
            [Step::CutBlocks { after: last }, Step::MakeAgain],
            "{kind}"
        );
        assert_eq!(copy.start(None).head().id().height, last);
    }
}

#[test]
fn a_wrong_index_row_and_a_missing_key_value_store_are_made_again() {
    let mut folder = Folder::new(100);
    let rows = folder.kv.range(
        Column("tx"),
        std::ops::Bound::Unbounded,
        std::ops::Bound::Unbounded,
        false,
        1,
    );
    let (key, _) = rows.unwrap().remove(0);
    let mut batch = Batch::new();
    batch.delete(Column("tx"), key);
    folder.kv.write(batch).unwrap();
    let report = folder.check();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(report.has(Part::Index));
    assert_eq!(folder.repair(&report), [Step::MakeAgain]);
    let broken = check(
        &folder.disk(),
        Err("gone".to_owned()),
        &genesis(),
        1,
        &|_| {},
    )
    .unwrap();
    assert_eq!(broken.findings.len(), 1, "{broken:?}");
    assert_eq!(folder.repair(&broken), [Step::MakeAgain]);
}

#[test]
fn a_damaged_vote_log_is_left_alone_unless_told() {
    let folder = Folder::new(20);
    assert!(folder.disk.flip_bit(VOTE_LOG, 40, 1));
    let report = folder.check();
    assert!(report.has(Part::Votes), "{report:?}");
    let steps = Vec::new();
    assert_eq!(report.plan(false), Plan::Steps { steps, votes: true });
    let steps = vec![Step::ForgetVotes];
    assert_eq!(
        report.plan(true),
        Plan::Steps {
            steps: steps.clone(),
            votes: false
        }
    );
    repair(&folder.disk(), &steps[0]).unwrap();
    assert!(folder.check().is_sound());
    assert_eq!(folder.files("set-aside-", ".log").len(), 1);
}

#[test]
fn damaged_evidence_is_put_aside() {
    let mut folder = Folder::new(20);
    let open = || SyncedLog::open(folder.disk(), "attesters.log", LogOptions::default());
    drop(open().unwrap());
    assert!(folder.disk.flip_bit("attesters.log", 3, 1));
    let report = folder.check();
    assert!(report.has(Part::Evidence), "{report:?}");
    assert_eq!(folder.repair(&report), [Step::DropEvidence]);
    assert!(folder.check().is_sound());
    assert_eq!(folder.files("set-aside-", ".log").len(), 1);
}

#[test]
fn a_vote_log_that_is_missing_is_told() {
    let folder = Folder::new(20);
    assert!(!folder.check().votes_missing());
    folder.disk.remove(VOTE_LOG).unwrap();
    let report = folder.check();
    assert!(report.is_sound() && report.votes_missing() && !report.vote_guard);
    // A folder that is marked for it is as it should be …
    let unknown = VoteGuard::unknown(GuardReason::Restored);
    write_vote_guard(folder.disk(), unknown).unwrap();
    assert!(folder.check().vote_guard);
    // … but not one that was allowed to vote after a block: it had a vote log from then on.
    for from in [5, 21, 99] {
        let allowed = VoteGuard {
            from: Some(Height(from)),
            ..unknown
        };
        write_vote_guard(folder.disk(), allowed).unwrap();
        let report = folder.check();
        assert!(report.votes_missing() && !report.vote_guard, "{from}");
        assert!(report.unclear.is_empty(), "{report:?}");
    }
    // One that is something else keeps the node from starting.
    let (mut log, _) = SyncedLog::open(folder.disk(), VOTE_GUARD, LogOptions::default()).unwrap();
    log.append(&[9; 99]).unwrap();
    log.sync().unwrap();
    let unclear = folder.check().unclear;
    assert!(
        unclear.iter().any(|one| one.contains("votes.guard")),
        "{unclear:?}"
    );
}

#[test]
fn a_torn_end_is_no_damage() {
    let folder = Folder::new(20);
    let name = folder.files("blocks-", ".seg").pop().unwrap();
    folder
        .disk
        .open(&name)
        .unwrap()
        .unwrap()
        .append(&[1; 30])
        .unwrap();
    let report = folder.check();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(
        (report.torn[0].file.as_str(), report.torn[0].bytes),
        (name.as_str(), 30)
    );
}

#[test]
fn a_pruned_folder_is_verified_from_the_genesis_by_its_headers_and_says_what_cannot_be_mended() {
    let folder = Folder::new(1_700);
    let store = folder.start(Some(KEEP_BLOCKS_MIN));
    while store.prune().unwrap() {}
    let first = store.first_height();
    drop(store);
    let report = folder.check();
    assert!(report.is_sound() && report.from_genesis, "{report:?}");
    assert_eq!((report.first, report.headers), (first, Some(first.back(1))));
    folder.kv.persist().unwrap();
    // Headers are no loss but to light nodes.
    let copy = folder.copy();
    let name = copy.files("headers-", ".seg").remove(0);
    assert!(copy.disk.flip_bit(&name, 60, 2));
    let report = copy.check();
    assert!(report.has(Part::Headers));
    let steps = vec![Step::DropHeaders];
    assert_eq!(
        report.plan(false),
        Plan::Steps {
            steps: steps.clone(),
            votes: false
        }
    );
    repair(&copy.disk(), &steps[0]).unwrap();
    let report = copy.check();
    assert!(report.is_sound() && !report.from_genesis, "{report:?}");
    assert_eq!(report.unclear.len(), 1);
    // State cannot be made again from blocks that are gone.
    let copy = folder.copy();
    let name = copy.files("state-", ".jnl").remove(0);
    assert!(copy.disk.flip_bit(&name, 60, 2));
    let report = copy.check();
    assert_eq!(report.plan(true), Plan::Impossible { first });
}

#[test]
fn a_vote_log_of_zeros_is_a_lost_one_and_a_check_leaves_it() {
    let folder = Folder::new(6);
    let file = folder.disk.open(VOTE_LOG).unwrap().unwrap();
    let len = usize::try_from(file.len().unwrap()).unwrap();
    file.truncate(8).unwrap();
    file.append(&vec![0; len - 8]).unwrap();
    file.sync().unwrap();
    let report = folder.check();
    assert!(report.votes_missing(), "{report:?}");
}

#[test]
fn a_folder_that_was_being_filled_is_not_called_sound() {
    let folder = Folder::new(6);
    folder.disk.create("restoring").unwrap();
    let report = folder.check();
    assert!(report.unclear[0].contains("interrupted"), "{report:?}");
}
