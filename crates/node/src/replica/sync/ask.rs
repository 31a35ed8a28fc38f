//! Who is asked for which blocks.
//!
//! Ranges of heights are under way to several peers at once, one to each; to a peer that is the only
//! one ahead, two. What a peer does not answer in time goes to another one. How much a peer is asked
//! for at once follows from how fast it answered last.

use std::{cmp::Reverse, collections::BTreeMap};

use hawser_network::PeerId;
use hawser_primitives::{Height, Time};

use super::{
    super::{Action, PeerMessage, Replica, Report, SYNC_BLOCKS_MAX, SYNC_BYTES, TimerId, To},
    Sync,
    window::WINDOW_BLOCKS,
};

/// Wait for an answer before its blocks are asked of another peer, in milliseconds: at first and at
/// least, and at most for a peer whose answers take long.
pub(in crate::replica) const ANSWER_MS: u64 = 1_000;
const ANSWER_MS_MAX: u64 = 8_000;
/// The same for the blocks that are taken up next, where later ones are here and wait for them.
pub(in crate::replica) const HEAD_MS: u64 = 400;
/// How long from then on a late answer keeps its peer from being asked again, in milliseconds.
const LATE_MS: u64 = 3_000;
/// How long a peer is not asked, where there are others, after others had to wait for it, in
/// milliseconds.
const REST_MS: u64 = 5_000;
/// Late answers in a row after which a peer is not believed to be ahead.
const MISSES_MAX: u32 = 2;
/// Most requests under way; those for the next block may come on top.
pub(in crate::replica) const REQUESTS_MAX: usize = 8;
/// Bytes here or on their way beyond which only the next blocks are asked for.
const AHEAD_BYTES: usize = 32 * 1024 * 1024;
/// Blocks that a peer is asked for the first time.
pub(in crate::replica) const BLOCKS_FIRST: u32 = 16;
/// Blocks that a peer is asked for at least, where so many are missing.
const BLOCKS_LEAST: u32 = 4;
/// An answer within this time, in milliseconds, lets a peer be asked for twice as many blocks.
const QUICK_MS: u64 = 150;
/// One that takes longer than this, for half as many.
const SLOW_MS: u64 = 300;
/// How often people are told that the node is catching up, in milliseconds.
const SAY_MS: u64 = 10_000;

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) peer: PeerId,
    pub(super) from: Height,
    pub(super) count: u32,
    at: Time,
    /// When its answer is late.
    until: Time,
    /// The answer did not come in time.
    late: bool,
    /// Another peer was asked for the same.
    helped: bool,
}

impl Request {
    fn end(&self) -> Height {
        Height(self.from.0.saturating_add(u64::from(self.count)))
    }

    pub(super) fn is_for(&self, height: Height) -> bool {
        self.from <= height && height < self.end()
    }

    /// Whether its blocks are still expected.
    const fn stands(&self) -> bool {
        !self.late && !self.helped
    }

    pub(super) const fn age_ms(&self, now: Time) -> u64 {
        now.since_ms(self.at)
    }

    /// When it need not be looked at before, whatever the others do.
    const fn deadline(&self) -> Time {
        if self.late {
            self.until.plus_ms(LATE_MS)
        } else {
            self.until
        }
    }
}

/// A peer as one that blocks are fetched from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Blocks that it is asked for at once.
    pub(super) count: u32,
    /// Answers that nobody asked for, since the last one that was.
    pub(super) unasked: u32,
    /// Late answers in a row.
    misses: u32,
    /// How long its answers are waited for, in milliseconds.
    patience_ms: u64,
    /// Others are asked rather than it until then.
    rest_until: Time,
    /// What its answers that are not waited for any more were to bring.
    pub(super) given_up: Option<Request>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            count: BLOCKS_FIRST,
            unasked: 0,
            misses: 0,
            patience_ms: ANSWER_MS,
            rest_until: Time(0),
            given_up: None,
        }
    }
}

impl Source {
    /// An answer came: `got` blocks of `bytes` in all, after `ms`.
    pub(super) fn answered(&mut self, asked: &Request, got: u32, bytes: usize, ms: u64) {
        self.misses = 0;
        self.unasked = 0;
        self.patience_ms = ms.saturating_mul(2).clamp(ANSWER_MS, ANSWER_MS_MAX);
        if asked.late {
            return;
        }
        if got < asked.count {
            // More do not fit one answer, or it has no more.
            self.count = got.max(1);
        } else if ms <= QUICK_MS && bytes.saturating_mul(2) <= SYNC_BYTES {
            self.count = self.count.saturating_mul(2).min(SYNC_BLOCKS_MAX);
        } else if ms > SLOW_MS {
            self.fewer(2);
        }
    }

    fn fewer(&mut self, divisor: u32) {
        let fewer = self.count.checked_div(divisor).unwrap_or(0);
        self.count = fewer.max(BLOCKS_LEAST).min(self.count);
    }

    /// Others wait for it.
    fn lets_wait(&mut self, now: Time) {
        self.fewer(4);
        self.rest_until = now.plus_ms(REST_MS);
    }

    /// An answer is not waited for any more. If it comes all the same, it is taken.
    pub(super) fn give_up(&mut self, request: &Request) {
        let mut all = *request;
        all.late = true;
        if let Some(before) = &self.given_up {
            let end = before.end().max(request.end());
            all.from = before.from.min(request.from);
            all.count = u32::try_from(end.0.saturating_sub(all.from.0)).unwrap_or(u32::MAX);
        }
        self.given_up = Some(all);
    }
}

/// Blocks that nobody is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    from: Height,
    count: u64,
}

impl Sync {
    /// The first heights from `next` to `last` that are neither here nor expected.
    fn gap(&self, next: Height, last: Height) -> Option<Gap> {
        let last = last.min(Height(next.0.saturating_add(WINDOW_BLOCKS - 1)));
        let mut from = next;
        while from <= last {
            if self.window.contains(from) {
                from = from.next();
                continue;
            }
            let expected = |request: &&Request| request.stands() && request.is_for(from);
            match self.requests.iter().find(expected) {
                Some(request) => from = request.end(),
                None => {
                    let stands = self.requests.iter().filter(|request| request.stands());
                    let begin = stands.map(|request| request.from);
                    let begin = begin.filter(|begin| *begin > from);
                    let end = begin
                        .chain(self.window.first_from(from))
                        .chain([last.next()])
                        .min();
                    let end = end.unwrap_or(from).0;
                    let count = end.saturating_sub(from.0);
                    return Some(Gap { from, count });
                }
            }
        }
        None
    }

    /// The request that the next block is expected by, if later ones wait for it.
    fn head(&mut self, next: Height) -> Option<&mut Request> {
        if self.window.is_empty() || self.window.contains(next) {
            return None;
        }
        let head = |request: &&mut Request| request.stands() && request.is_for(next);
        self.requests.iter_mut().find(head)
    }

    /// When to look again.
    fn deadline(&mut self, next: Height, now: Time) -> Option<Time> {
        let head = self.head(next).map(|request| request.at.plus_ms(HEAD_MS));
        let all = self.requests.iter().map(Request::deadline);
        all.chain(head.filter(|at| *at > now)).min()
    }
}

impl Replica {
    /// Asks for what is missing, as far as it may be asked for.
    pub(super) fn fetch_blocks(&mut self) {
        if self.sync.target.is_none() && self.sync.timer.is_none() {
            return;
        }
        self.note_late();
        let next = self.tip.height.next();
        if self.sync.target.is_none_or(|target| target < next) {
            return self.stop_fetching();
        }
        // One block: agreement usually brings it.
        if let Some(at) = self.sync.grace
            && self.now < at
        {
            return self.wake_at(Some(at));
        }
        self.sync.grace = None;
        self.help_head(next);
        while let Some(target) = self.sync.target
            && let Some(gap) = self.sync.gap(next, target)
        {
            if gap.from > next && !self.has_room() {
                break;
            }
            let Some(peer) = self.source_for(gap.from) else {
                if gap.from == next && self.sources(next).next().is_none() {
                    self.sync.target = None;
                    self.note_missing();
                    return self.stop_fetching();
                }
                break;
            };
            self.ask_for(peer, gap);
        }
        let deadline = self.sync.deadline(next, self.now);
        self.wake_at(deadline);
    }

    /// There is nothing to fetch.
    fn stop_fetching(&mut self) {
        self.sync.target = None;
        self.sync.grace = None;
        self.sync.said = None;
        for request in std::mem::take(&mut self.sync.requests) {
            let source = self.sync.sources.entry(request.peer).or_default();
            source.give_up(&request);
        }
        self.sync.progress.end();
        self.wake_at(None);
    }

    fn wake_at(&mut self, at: Option<Time>) {
        if self.sync.timer == at {
            return;
        }
        self.sync.timer = at;
        let action = match at {
            Some(at) => Action::SetTimer(TimerId::Sync, at),
            None => Action::ClearTimer(TimerId::Sync),
        };
        self.actions.push(action);
    }

    /// Notes which answers are late, and no longer believes who let too many be.
    fn note_late(&mut self) {
        let (now, mut silent) = (self.now, Vec::new());
        let Sync {
            requests, sources, ..
        } = &mut self.sync;
        requests.retain_mut(|request| {
            if now < request.deadline() {
                return true;
            }
            let source = sources.entry(request.peer).or_default();
            if request.late {
                source.give_up(request);
                return false;
            }
            request.late = true;
            source.misses = source.misses.saturating_add(1);
            source.lets_wait(now);
            if source.misses >= MISSES_MAX {
                silent.push(request.peer);
            }
            true
        });
        for peer in silent {
            self.distrust(peer);
        }
    }

    /// If later blocks wait for the next one, somebody else is asked for it before its answer counts
    /// as late.
    fn help_head(&mut self, next: Height) {
        let now = self.now;
        let slow = self.sync.head(next);
        let slow = slow.filter(|request| request.age_ms(now) >= HEAD_MS);
        let Some(peer) = slow.map(|request| request.peer) else {
            return;
        };
        if self.source_for(next).is_some_and(|other| other != peer)
            && let Some(request) = self.sync.head(next)
        {
            request.helped = true;
            self.sync.sources.entry(peer).or_default().lets_wait(now);
        }
    }

    /// Whether more may be asked for than the next blocks.
    fn has_room(&self) -> bool {
        let requests = self.sync.requests.len();
        let coming = requests.saturating_add(1).saturating_mul(SYNC_BYTES);
        let bytes = self.sync.window.bytes().saturating_add(coming);
        requests < REQUESTS_MAX && bytes <= AHEAD_BYTES
    }

    /// Peers that should have a block.
    fn sources(&self, height: Height) -> impl Iterator<Item = PeerId> + '_ {
        let has = move |id: &PeerId| {
            let peer = self.peers.get(id);
            peer.is_some_and(|peer| !peer.foreign && peer.height >= height)
                && self.keeps(*id, height)
        };
        self.peers.keys().copied().filter(has)
    }

    /// The best peer to ask for a block that may be asked: none that lets others wait, the fastest.
    fn source_for(&self, height: Height) -> Option<PeerId> {
        let mut under_way: BTreeMap<PeerId, usize> = BTreeMap::new();
        for request in &self.sync.requests {
            let count = under_way.entry(request.peer).or_default();
            *count = count.saturating_add(1);
        }
        // So that the one peer need not wait for the next question after each answer.
        let most = if self.sources(height).nth(1).is_some() {
            1
        } else {
            2
        };
        let known = |id: &PeerId| self.sync.sources.get(id).copied().unwrap_or_default();
        let rests = |id: &PeerId| known(id).rest_until > self.now;
        let all_rest = self.sources(height).all(|id| rests(&id));
        self.sources(height)
            .filter(|id| under_way.get(id).is_none_or(|count| *count < most))
            .filter(|id| all_rest || !rests(id))
            .min_by_key(|id| (known(id).misses, Reverse(known(id).count)))
    }

    fn ask_for(&mut self, peer: PeerId, gap: Gap) {
        let now = self.now;
        let last = self.peers.get(&peer).map_or(gap.from, |peer| peer.height);
        let source = self.sync.sources.entry(peer).or_default();
        let has = last.0.saturating_sub(gap.from.0).saturating_add(1);
        let count = gap.count.min(has).min(u64::from(source.count));
        let count = u32::try_from(count).unwrap_or(SYNC_BLOCKS_MAX);
        let count = count.clamp(1, SYNC_BLOCKS_MAX);
        self.sync.requests.push(Request {
            peer,
            from: gap.from,
            count,
            at: now,
            until: now.plus_ms(source.patience_ms),
            late: false,
            helped: false,
        });
        self.sync.progress.begin(now);
        self.say_syncing();
        let message = PeerMessage::BlocksRequest {
            from: gap.from,
            count,
        };
        self.send(To::Peer(peer), false, &message);
    }

    /// Tells people now and then, unless it is about one block.
    fn say_syncing(&mut self) {
        let now = self.now;
        let due = |at: Time| now.since_ms(at) >= SAY_MS;
        if let Some(state) = self.catching_up()
            && self.sync.said.is_none_or(due)
        {
            self.sync.said = Some(now);
            self.report(Report::Syncing {
                at: self.tip.height,
                target: state.target,
                blocks_per_second: state.blocks_per_second,
                seconds_left: state.seconds_left,
            });
        }
    }
}
