use std::{borrow::Cow, sync::Arc};

use hawser_governance::{
    Decision, Lang, Law, Laws, Resource as Thing,
    access::{AccessError, StateView},
    action::Action as Act,
    slots,
};
use hawser_node::store::{ChainStore, StoreError};
use hawser_primitives::{Address, Time};
use thiserror::Error;

use super::{Action, Denied, ReadGate, ReadRequest, Resource, check::now_ms};

/// Asks the chain's own law: the same roles and rules that pool and execution go by.
///
/// The account has to be in good standing (not frozen, not suspended, a member where the account
/// mode wants one) and to be permitted `read`, `subscribe` or `inspect` on what it asks about: the
/// accounts and contracts that the query names, or else the domain that the method belongs to.
/// Sending a transaction takes `call` or `read`; whether the transaction may run is decided where
/// it runs. What is frozen can still be looked at. A chain without governance leaves the answer to
/// another gate.
pub struct Governed {
    store: Arc<ChainStore>,
    laws: Laws,
    otherwise: Arc<dyn ReadGate>,
}

#[derive(Debug, Error)]
enum Unreadable {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// The domain that a query belongs to which is not about certain accounts. Rules name it as
/// `domain:<name>`.
fn domain(method: &str) -> &'static str {
    match method {
        "hawser_audit" | "hawser_freezes" | "hawser_risk" | "hawser_supervisionRule" => "audit",
        "hawser_dryRun"
        | "hawser_getSettings"
        | "hawser_governance"
        | "hawser_member"
        | "hawser_members"
        | "hawser_organisations"
        | "hawser_proposal"
        | "hawser_proposals"
        | "hawser_why" => "governance",
        "hawser_findEvidence" | "hawser_getEvidence" | "hawser_getEvidenceProof" => "evidence",
        "hawser_links" | "hawser_nodeStatus" | "hawser_status" => "node",
        _ => match method.split_once('_') {
            Some(("admin" | "net", _)) => "node",
            Some(("debug", _)) => "debug",
            Some(("txpool", _)) => "pool",
            _ => "ledger",
        },
    }
}

/// The answer of a law, with what it needs to be put into words.
struct Answer {
    law: Arc<Law>,
    decision: Decision,
    act: Act,
    thing: Thing,
}

impl Governed {
    /// The law of this chain, and `otherwise` where it has none.
    #[must_use]
    pub fn new(store: Arc<ChainStore>, otherwise: Arc<dyn ReadGate>) -> Self {
        Self {
            store,
            laws: Laws::default(),
            otherwise,
        }
    }

    /// What the law says in the newest state; `None` where there is none.
    fn ask(
        &self,
        account: &Address,
        request: &ReadRequest<'_>,
    ) -> Result<Option<Answer>, Unreadable> {
        let head = self.store.head();
        let state = self.store.state(head.id().height)?;
        let mut view = StateView(&state);
        let Some(law) = self.laws.current(&mut view)? else {
            return Ok(None);
        };
        let word = slots::load_account(&mut view, account)?;
        // An idle chain's newest block may be old; a freeze ends all the same.
        let now = Time(head.block.header.time.0.max(now_ms()));
        let acts: &[Act] = match request.action {
            Action::Read => &[Act::Read],
            Action::Subscribe => &[Act::Subscribe],
            Action::Inspect => &[Act::Inspect],
            Action::Submit => &[Act::Call, Act::Read],
        };
        let things = match (request.resource, request.action) {
            (Resource::Accounts(all), _) => all.iter().copied().map(Thing::Contract).collect(),
            // What a transaction is about is asked where it runs.
            (_, Action::Submit) => vec![Thing::Any],
            _ => vec![Thing::Domain(domain(request.method).to_owned())],
        };
        let standing = law.standing(&word, now);
        let mut answer = None;
        for thing in things {
            let mut found = None;
            for act in acts {
                let decision = match standing {
                    Some(refusal) => refusal,
                    None => law.permits(account, &word, *act, &thing),
                };
                let allowed = decision.allowed;
                found = Some((*act, decision));
                if allowed {
                    break;
                }
            }
            if let Some((act, decision)) = found {
                let refused = !decision.allowed;
                answer = Some((decision, act, thing));
                if refused {
                    break;
                }
            }
        }
        Ok(answer.map(|(decision, act, thing)| Answer {
            law,
            decision,
            act,
            thing,
        }))
    }
}

impl ReadGate for Governed {
    fn allows(
        &self,
        reader: Option<Address>,
        request: &ReadRequest<'_>,
    ) -> Result<Cow<'static, str>, Denied> {
        let Some(account) = reader else {
            return self.otherwise.allows(reader, request);
        };
        match self.ask(&account, request) {
            Ok(Some(answer)) if answer.decision.allowed => Ok(answer.decision.rule().into()),
            Ok(Some(Answer {
                law,
                decision,
                act,
                thing,
            })) => Err(Denied {
                rule: decision.rule().into(),
                reason: decision.reason(law.charter(), act, &thing, Lang::En),
            }),
            Ok(None) => self.otherwise.allows(reader, request),
            Err(error) => {
                tracing::error!(%error, "the chain's law cannot be read; readers are refused");
                Err(Denied {
                    rule: "reads.unreadable-law".into(),
                    reason: "this node cannot read the chain's law; ask another node".to_owned(),
                })
            }
        }
    }
}
