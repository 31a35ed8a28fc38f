//! Verdicts that are remembered, for simulations.
//!
//! A simulated world has every node verify what all others verify too, with the same code and the same bytes, and that
//! was more than half of its time. What is remembered is the answer to the very same question, compared byte by byte,
//! so no answer differs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::VerifyError;

/// Answers that are remembered at most; then all are forgotten.
const MOST: usize = 8_192;

type Verdict = Result<(), VerifyError>;

thread_local! {
    static VERDICTS: RefCell<Option<BTreeMap<Vec<u8>, Verdict>>> = const { RefCell::new(None) };
}

/// While it lives, [`PublicKey::verify`](crate::PublicKey::verify) on this thread answers a question that was asked
/// before from memory: at most 8,192 answers. No node does this: it verifies a signature once (a pool and a vote keeper
/// stand before it), and would only hold memory.
#[derive(Debug)]
#[must_use = "verdicts are forgotten when it is dropped"]
pub struct RememberVerdicts(());

impl RememberVerdicts {
    /// Begins to remember, with nothing.
    #[expect(
        clippy::new_without_default,
        reason = "it acts on the thread; a default would not say so"
    )]
    pub fn new() -> Self {
        VERDICTS.set(Some(BTreeMap::new()));
        Self(())
    }
}

impl Drop for RememberVerdicts {
    fn drop(&mut self) {
        VERDICTS.set(None);
    }
}

/// The answer to `question`, found out by `verify` unless it is remembered. The parts are joined with their lengths.
pub(crate) fn answer(question: &[&[u8]], verify: impl FnOnce() -> Verdict) -> Verdict {
    VERDICTS.with_borrow_mut(|verdicts| {
        let Some(verdicts) = verdicts else {
            return verify();
        };
        let mut key = Vec::with_capacity(question.iter().map(|part| part.len() + 8).sum());
        for part in question {
            key.extend_from_slice(&part.len().to_le_bytes());
            key.extend_from_slice(part);
        }
        if let Some(verdict) = verdicts.get(&key) {
            return *verdict;
        }
        let verdict = verify();
        if verdicts.len() >= MOST {
            verdicts.clear();
        }
        verdicts.insert(key, verdict);
        verdict
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn asked(question: &[&[u8]], good: bool, times: &Cell<u32>) -> Verdict {
        answer(question, || {
            times.set(times.get() + 1);
            if good {
                Ok(())
            } else {
                Err(VerifyError::Mismatch)
            }
        })
    }

    #[test]
    fn the_same_question_is_answered_once_and_only_while_it_is_wanted() {
        let times = Cell::new(0);
        asked(&[b"key", b"text"], true, &times).unwrap();
        asked(&[b"key", b"text"], true, &times).unwrap();
        assert_eq!(times.get(), 2, "nothing is remembered by itself");
        let remember = RememberVerdicts::new();
        for _ in 0..3 {
            asked(&[b"key", b"text"], true, &times).unwrap();
            asked(&[b"keyt", b"ext"], false, &times).unwrap_err();
        }
        assert_eq!(times.get(), 4);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| VERDICTS.with_borrow(Option::is_none));
            assert!(other.join().unwrap(), "other threads are left alone");
        });
        drop(remember);
        asked(&[b"key", b"text"], true, &times).unwrap();
        assert_eq!(times.get(), 5);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let times = Cell::new(0);
        let _remember = RememberVerdicts::new();
        for number in 0..=MOST {
            asked(&[&number.to_le_bytes()], true, &times).unwrap();
        }
        let held = VERDICTS.with_borrow(|verdicts| verdicts.as_ref().map(BTreeMap::len));
        assert_eq!(held, Some(1));
    }
}
