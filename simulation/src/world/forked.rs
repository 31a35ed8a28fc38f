//! Worlds in which more than a third lies: no rule of agreement holds there, and what is asked for is
//! that every correct node notices, says so and stops.

use hawser_ledger::Certificate;

use super::{Fork, What, World};
use crate::Violation;

/// What the words of SY-7, SY-11 and SY-19 have in common.
const TOO_MANY_LIE: &str = "a third of the validators";

impl World {
    fn is_hopeless(&self) -> bool {
        !self.plan.is_tolerable()
    }

    /// Whether all correct nodes have stopped for good.
    pub(super) fn is_given_up(&self) -> bool {
        let correct = (0..self.nodes.len()).filter(|node| !self.is_byzantine(*node));
        self.is_hopeless() && self.ended.len() == correct.count()
    }

    /// Takes the oracle's word on a final block. Two of one height end the run where at most a third
    /// lies; else the run goes on until the nodes have noticed.
    pub(super) fn judge_fork(
        &mut self,
        judged: Result<(), Violation>,
        certificate: &Certificate,
    ) -> Result<(), Violation> {
        match judged {
            Err(violation) if self.is_hopeless() && violation.rule() == "agreement" => {
                let height = certificate.height;
                self.fork = Some(Fork {
                    height,
                    signed_both: self.oracle.signed_both(height, certificate),
                    byzantine: (0..self.nodes.len())
                        .filter(|node| self.is_byzantine(*node))
                        .filter_map(|node| self.address(node))
                        .collect(),
                });
                Ok(())
            }
            other => other,
        }
    }

    /// Whether a correct node stops for good because too many lie, and if so, stops it.
    pub(super) fn gives_up(&mut self, node: usize, error: &str) -> bool {
        if !self.is_hopeless() || !error.contains(TOO_MANY_LIE) {
            return false;
        }
        self.note(format!("{node} gives up").as_bytes());
        self.crash(node, 0);
        // Nobody starts it again.
        self.heap
            .retain(|next| !matches!(next.0.what, What::Restart { node: at } if at == node));
        self.ended.insert(node, error.to_owned());
        true
    }
}
