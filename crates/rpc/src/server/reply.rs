use axum::body::Bytes;
use serde_json::value::RawValue;

use super::budget::{Budget, Held};
use crate::{
    Refusal, RpcObserver,
    methods::Answered,
    wire::{ErrorObject, code, response},
};

/// A text on its way to a client, counted until it has left.
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) held: Held,
    /// Code of the error that it is, if it is one.
    pub(crate) code: Option<i32>,
}

impl Reply {
    /// Counts a text; one that does not fit becomes an error with the same id.
    pub(crate) fn new(
        budget: &Budget,
        observer: &dyn RpcObserver,
        id: Option<&RawValue>,
        answered: Answered,
    ) -> Self {
        let Answered { text, code } = answered;
        if let Some(held) = budget.hold_answer(text.len()) {
            return Self { text, held, code };
        }
        observer.refused(Refusal::Memory);
        let error = ErrorObject::busy(format!(
            "the node is busy: {} bytes of answers wait to be read, and this one of {} does not \
             fit; ask for less at once, or retry in a second",
            budget.used(),
            text.len()
        ));
        let text = response(id, &Err(error));
        let held = budget.hold_anyway(text.len());
        Self {
            text,
            held,
            code: Some(code::LIMIT_EXCEEDED),
        }
    }

    /// The text as a body that stays counted until the last byte of it is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}
