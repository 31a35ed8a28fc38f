//! JSON-RPC 2.0 as it travels: messages, parameters, errors.

mod depth;
mod error;
mod message;
mod params;

pub(crate) use depth::depth_within;
pub use error::ErrorObject;
pub(crate) use error::code;
pub(crate) use message::{
    Call, Incoming, Json, json, json_within, notification, or_null, parse, response,
};
pub(crate) use params::Params;
