//! Signatures, arguments and results of contracts.

use std::path::Path;

use alloy_dyn_abi::{DynSolType, DynSolValue, JsonAbiExt, Specifier};
use alloy_json_abi::{Constructor, ContractObject, Event, Function, JsonAbi, Param};

use crate::exit::{Code, Failure, OrFail, Result, fail};
use crate::files;

/// Largest file with an ABI or code, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads an ABI: a bare list, or an artifact with an `abi`.
pub(super) fn load(path: &Path) -> Result<JsonAbi> {
    let text = files::read_text(path, FILE_BYTES_MAX)?;
    let context = || format!("ABI {}", path.display());
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).context(Code::Config, context());
    }
    let object = serde_json::from_str::<ContractObject>(&text).context(Code::Config, context())?;
    match object.abi {
        Some(abi) => Ok(abi),
        None => fail(Code::Config, format!("{}: no `abi` in it", context())),
    }
}

/// The method that a signature is, or that a name means in an ABI; overloads are told apart by the
/// number of arguments.
pub(super) fn function(abi: Option<&JsonAbi>, text: &str, arguments: usize) -> Result<Function> {
    if text.contains('(') {
        return Function::parse(text).context(
            Code::Usage,
            format!("`{text}` is no method; write for example 'balanceOf(address)(uint256)'"),
        );
    }
    let Some(abi) = abi else {
        return fail(
            Code::Usage,
            format!(
                "`{text}` is a name: give its signature, such as '{text}(address)(uint256)', or --abi"
            ),
        );
    };
    let candidates = abi.function(text).map(Vec::as_slice).unwrap_or_default();
    let fits: Vec<_> = candidates
        .iter()
        .filter(|f| f.inputs.len() == arguments)
        .collect();
    // With one candidate alone, a wrong number of arguments is better explained by the encoder.
    match (fits.as_slice(), candidates) {
        ([only], _) => Ok((*only).clone()),
        ([], [only]) => Ok(only.clone()),
        (_, []) => {
            let names: Vec<_> = abi.functions().map(Function::signature).collect();
            let text = format!("the ABI has no method {text}; it has: {}", names.join(", "));
            fail(Code::NotFound, text)
        }
        _ => {
            let names: Vec<_> = candidates.iter().map(Function::signature).collect();
            let text = format!(
                "several methods are named {text}; give one of: {}",
                names.join(", ")
            );
            fail(Code::Usage, text)
        }
    }
}

/// The event that a signature is, or that a name means in an ABI.
pub(super) fn event(abi: Option<&JsonAbi>, text: &str) -> Result<Event> {
    if text.contains('(') {
        return Event::parse(text).context(
            Code::Usage,
            format!("`{text}` is no event; write for example 'Transfer(address indexed,address indexed,uint256)'"),
        );
    }
    let events = abi
        .and_then(|abi| abi.event(text))
        .map(Vec::as_slice)
        .unwrap_or_default();
    match events {
        [only] => Ok(only.clone()),
        [] => fail(
            Code::Usage,
            format!("no event {text} is known: give its signature, or the --abi that has it"),
        ),
        many => {
            let names: Vec<_> = many.iter().map(Event::signature).collect();
            fail(
                Code::Usage,
                format!("several events are named {text}: {}", names.join(", ")),
            )
        }
    }
}

/// Turns texts into values of the parameters' types.
fn values(what: &str, inputs: &[Param], arguments: &[String]) -> Result<Vec<DynSolValue>> {
    if inputs.len() != arguments.len() {
        let types: Vec<_> = inputs.iter().map(|input| input.ty.as_str()).collect();
        return fail(
            Code::Usage,
            format!(
                "{what} takes {} arguments ({}), {} were given",
                inputs.len(),
                types.join(", "),
                arguments.len()
            ),
        );
    }
    let value = |(i, (input, text)): (usize, (&Param, &String))| {
        let kind: DynSolType = input.resolve().or_fail(Code::Usage)?;
        kind.coerce_str(text).map_err(|error| {
            let name = if input.name.is_empty() {
                String::new()
            } else {
                format!(" {}", input.name)
            };
            Failure::new(
                Code::Usage,
                format!(
                    "argument {}{name}: `{text}` is no {}: {error}",
                    i.saturating_add(1),
                    input.ty
                ),
            )
        })
    };
    inputs
        .iter()
        .zip(arguments)
        .enumerate()
        .map(value)
        .collect()
}

/// Call data.
pub(super) fn encode_call(function: &Function, arguments: &[String]) -> Result<Vec<u8>> {
    let values = values(&function.signature(), &function.inputs, arguments)?;
    function.abi_encode_input(&values).or_fail(Code::Usage)
}

/// Code with the constructor's arguments behind it.
pub(super) fn creation(
    code: &str,
    signature: Option<&str>,
    arguments: &[String],
) -> Result<(Vec<u8>, Option<JsonAbi>)> {
    let (mut code, known) = creation_code(code)?;
    let constructor = match signature {
        Some(text) => Some(Constructor::parse(text).context(
            Code::Usage,
            format!("`{text}` is no constructor; write for example 'constructor(string,uint256)'"),
        )?),
        None => known.as_ref().and_then(|abi| abi.constructor.clone()),
    };
    match constructor {
        Some(constructor) => {
            let values = values("the constructor", &constructor.inputs, arguments)?;
            code.extend(constructor.abi_encode_input(&values).or_fail(Code::Usage)?);
        }
        None if arguments.is_empty() => {}
        None => {
            return fail(
                Code::Usage,
                "arguments are given and no constructor is known: add --constructor \
                 'constructor(…)', or give an artifact with its ABI",
            );
        }
    }
    Ok((code, known))
}

fn creation_code(text: &str) -> Result<(Vec<u8>, Option<JsonAbi>)> {
    if let Some(digits) = text.strip_prefix("0x") {
        return Ok((decode_hex(digits, "the code")?, None));
    }
    let content = files::read_text(Path::new(text), FILE_BYTES_MAX)?;
    if !content.trim_start().starts_with('{') {
        let digits = content.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        return Ok((decode_hex(digits, text)?, None));
    }
    let object = serde_json::from_str::<ContractObject>(&content).context(Code::Config, text)?;
    match object.bytecode {
        Some(code) if !code.is_empty() => Ok((code.to_vec(), object.abi)),
        _ => fail(
            Code::Config,
            format!("{text} holds no code: an interface or abstract contract?"),
        ),
    }
}

fn decode_hex(digits: &str, what: &str) -> Result<Vec<u8>> {
    match hex::decode(digits) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => fail(Code::Usage, format!("{what} is empty")),
        Err(error) => fail(
            Code::Usage,
            format!("{what} is not hexadecimal: {error}. Libraries must be linked first"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|text| (*text).to_owned()).collect()
    }

    const ABI: &str = r#"[
        {"type":"constructor","inputs":[{"name":"n","type":"uint256"}],"stateMutability":"nonpayable"},
        {"type":"function","name":"f","inputs":[{"name":"a","type":"uint256"}],"outputs":[],"stateMutability":"view"},
        {"type":"function","name":"f","inputs":[],"outputs":[],"stateMutability":"view"},
        {"type":"function","name":"g","inputs":[],"outputs":[{"name":"","type":"bool"}],"stateMutability":"view"},
        {"type":"error","name":"TooMany","inputs":[{"name":"count","type":"uint256"}]},
        {"type":"event","name":"E","inputs":[{"name":"a","type":"uint256","indexed":true}],"anonymous":false}
    ]"#;

    #[test]
    fn a_human_signature_gives_the_standard_call_data() {
        // The selector of ERC-20's balanceOf is in the standard's own examples.
        let f = function(None, "balanceOf(address)(uint256)", 1).unwrap();
        let address = "0x00000000000000000000000000000000000000aa";
        let data = encode_call(&f, &texts(&[address])).unwrap();
        assert_eq!(hex::encode(&data), format!("70a08231{}aa", "0".repeat(62)));
        assert_eq!(f.outputs.len(), 1);
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused_by_position() {
        let f = function(None, "f(uint8,address)", 2).unwrap();
        let refused = |arguments: &[&str]| encode_call(&f, &texts(arguments)).unwrap_err().message;
        assert!(refused(&["1"]).contains("takes 2 arguments (uint8, address), 1 were given"));
        assert!(refused(&["256", "0x00"]).starts_with("argument 1: `256` is no uint8"));
        assert!(refused(&["1", "0x00"]).starts_with("argument 2: `0x00` is no address"));
        let tuple = function(None, "f((uint256,string)[],bytes)", 2).unwrap();
        assert!(encode_call(&tuple, &texts(&["[(1,\"a\"),(2,\"b\")]", "0x01"])).is_ok());
        assert!(function(None, "f(uint", 1).is_err());
    }

    #[test]
    fn names_are_looked_up_in_the_abi() {
        let abi = serde_json::from_str::<JsonAbi>(ABI).unwrap();
        assert_eq!(function(Some(&abi), "f", 1).unwrap().inputs.len(), 1);
        assert_eq!(function(Some(&abi), "f", 0).unwrap().inputs.len(), 0);
        assert_eq!(function(Some(&abi), "g", 5).unwrap().name, "g");
        assert!(
            function(Some(&abi), "f", 7)
                .unwrap_err()
                .message
                .contains("f(uint256)")
        );
        assert_eq!(
            function(Some(&abi), "h", 0).unwrap_err().code,
            Code::NotFound
        );
        assert_eq!(function(None, "f", 0).unwrap_err().code, Code::Usage);
        assert_eq!(event(Some(&abi), "E").unwrap().inputs.len(), 1);
        assert!(event(Some(&abi), "F").is_err() && event(None, "E").is_err());
    }

    #[test]
    fn code_comes_from_text_files_and_artifacts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        assert_eq!(creation("0x6001", None, &[]).unwrap().0, [0x60, 1]);
        assert_eq!(
            creation(&write("a.bin", "6001\n"), None, &[]).unwrap().0,
            [0x60, 1]
        );
        let forge = write(
            "a.json",
            &format!(r#"{{"abi":{ABI},"bytecode":{{"object":"0x6001"}}}}"#),
        );
        let (code, known) = creation(&forge, None, &texts(&["3"])).unwrap();
        assert!(known.is_some());
        assert_eq!((code.len(), code.last()), (34, Some(&3)));
        assert!(
            creation(&forge, None, &[])
                .unwrap_err()
                .message
                .contains("the constructor takes 1")
        );
        let (typed, _) = creation("0x6001", Some("constructor(uint8)"), &texts(&["3"])).unwrap();
        assert_eq!(typed.len(), 34);
        for (code, arguments) in [("0x", &[][..]), ("0x__lib__", &[]), ("0x60", &["1"])] {
            assert_eq!(
                creation(code, None, &texts(arguments)).unwrap_err().code,
                Code::Usage
            );
        }
        let interface = write("i.json", r#"{"abi":[],"bytecode":"0x"}"#);
        assert_eq!(
            creation(&interface, None, &[]).unwrap_err().code,
            Code::Config
        );
    }
}
