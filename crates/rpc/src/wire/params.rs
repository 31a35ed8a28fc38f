use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{ErrorObject, Json};

/// Parameters of a call, taken one after another. A missing one and `null` are the same, as
/// clients send either.
#[derive(Debug)]
pub(crate) struct Params {
    values: std::vec::IntoIter<Json>,
    /// Position of the next one, from 0, as geth counts in its messages.
    next: usize,
}

impl Params {
    /// Splits the array of parameters.
    pub(crate) fn new(raw: Option<&RawValue>) -> Result<Self, ErrorObject> {
        let values: Vec<Json> = match raw.map(RawValue::get) {
            None | Some("null") => Vec::new(),
            Some(text) if text.starts_with('[') => serde_json::from_str(text)
                .map_err(|error| ErrorObject::invalid_params(format!("params: {error}")))?,
            Some(_) => {
                return Err(ErrorObject::invalid_params("params must be an array"));
            }
        };
        Ok(Self {
            values: values.into_iter(),
            next: 0,
        })
    }

    /// The next parameter, which may be left out.
    pub(crate) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, ErrorObject> {
        let at = self.next;
        self.next = at.saturating_add(1);
        match self.values.next() {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) => serde_json::from_str(value.get())
                .map(Some)
                .map_err(|error| {
                    ErrorObject::invalid_params(format!("invalid argument {at} ({name}): {error}"))
                }),
        }
    }

    /// The next parameter, which must be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ErrorObject> {
        let at = self.next;
        self.optional(name)?.ok_or_else(|| {
            ErrorObject::invalid_params(format!(
                "missing value for required argument {at} ({name})"
            ))
        })
    }

    /// The parameters not taken yet, as text.
    pub(crate) fn rest(&self) -> Vec<&RawValue> {
        self.values.as_slice().iter().map(AsRef::as_ref).collect()
    }

    /// Refuses parameters beyond those taken.
    pub(crate) fn end(self) -> Result<(), ErrorObject> {
        let extra = self.values.len();
        if extra == 0 {
            return Ok(());
        }
        let taken = self.next;
        let found = taken.saturating_add(extra);
        Err(ErrorObject::invalid_params(format!(
            "too many arguments, want at most {taken}, got {found}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use hawser_primitives::Address;

    use super::*;
    use crate::wire::code;

    fn params(text: &str) -> Params {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        Params::new(Some(&raw)).unwrap()
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let error = params(r#"["0x12"]"#)
            .required::<Address>("address")
            .unwrap_err();
        assert_eq!(error.code, code::INVALID_PARAMS);
        assert!(
            error.message.starts_with("invalid argument 0 (address): "),
            "{}",
            error.message
        );
        let mut two = params(r#"[1, "x"]"#);
        two.required::<u8>("first").unwrap();
        let error = two.required::<u8>("second").unwrap_err();
        assert!(
            error.message.starts_with("invalid argument 1 (second)"),
            "{}",
            error.message
        );
    }

    #[test]
    fn missing_and_null_are_the_same() {
        for text in ["[]", "[null]"] {
            assert_eq!(params(text).optional::<u8>("n").unwrap(), None);
            let error = params(text).required::<u8>("n").unwrap_err();
            assert_eq!(error.message, "missing value for required argument 0 (n)");
        }
        assert!(Params::new(None).unwrap().end().is_ok());
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let mut some = params("[1, 2, 3]");
        some.required::<u8>("n").unwrap();
        let error = some.end().unwrap_err();
        assert_eq!(error.message, "too many arguments, want at most 1, got 3");
    }

    #[test]
    fn an_object_of_parameters_is_refused() {
        let raw = RawValue::from_string("{\"a\":1}".to_owned()).unwrap();
        assert_eq!(
            Params::new(Some(&raw)).unwrap_err().code,
            code::INVALID_PARAMS
        );
    }
}
