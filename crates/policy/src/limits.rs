//! Every bound of the engine. `docs/spec/policy.md` lists them; a change is a protocol version.

/// Longest script, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of brackets in a script.
pub const BRACKETS_MAX: usize = 24;
/// Deepest indentation of a script, in levels.
pub const INDENT_MAX: usize = 12;
/// Deepest recursion of the parser, and levels of an expression's tree.
pub const PARSE_DEPTH_MAX: u32 = 64;
/// Most `elif` branches of an `if`.
pub const ELIF_MAX: usize = 100;
/// Longest number or name in a script, in bytes.
pub const WORD_BYTES_MAX: usize = 512;
/// Deepest expression within an expression, and block within a block.
pub const EXPRESSION_DEPTH_MAX: u32 = 40;
/// Most functions of a script.
pub const FUNCTIONS_MAX: usize = 256;
/// Most parameters of a function, and arguments of a call.
pub const PARAMETERS_MAX: usize = 32;
/// Most local variables of a function.
pub const LOCALS_MAX: usize = 256;

/// Most bits of an integer's magnitude. Twice what the EVM's words need for a product.
pub const INTEGER_BITS_MAX: u64 = 1024;
/// Longest string, in bytes.
pub const STRING_BYTES_MAX: usize = 64 * 1024;
/// Most elements of a list, a tuple or a dictionary, and of what is unpacked.
pub const ELEMENTS_MAX: usize = 16_384;
/// Deepest value within a value that is compared, hashed or turned into text.
pub const VALUE_DEPTH_MAX: u32 = 32;
/// Longest reason of a verdict, in bytes.
pub const REASON_BYTES_MAX: usize = 512;
/// Longest text of a script's error that is kept, in bytes; what is longer is cut.
pub const ERROR_BYTES_MAX: usize = 512;
/// Most verdicts of a script.
pub const VERDICTS_MAX: usize = 16;
/// Most parties whose co-signature a verdict asks for.
pub const PARTIES_MAX: usize = 8;
/// Longest name of such a party, in bytes.
pub const PARTY_BYTES_MAX: usize = 128;

/// Most steps that a rule can be given.
pub const STEPS_MAX: u64 = 200_000;
/// Most memory that a rule can be given, in the engine's bytes.
pub const MEMORY_MAX: u64 = 4 * 1024 * 1024;
/// Most calls within calls that a rule can be given.
pub const CALLS_MAX: u32 = 16;
/// Deepest evaluation, over all calls. It bounds the machine's stack.
pub const EVALUATION_DEPTH_MAX: u32 = 200;
/// Steps for a script's constants, which are computed once, when the script is compiled.
pub const CONSTANT_STEPS_MAX: u64 = 200_000;
/// Memory for a script's constants.
pub const CONSTANT_MEMORY_MAX: u64 = 2 * 1024 * 1024;

/// Most rules in a set.
pub const RULES_MAX: usize = 64;
/// Most steps of all rules of a set together, for one transaction.
pub const RULES_STEPS_MAX: u64 = 1_000_000;
/// Steps that all rules together have on any transaction, besides one per gas that it used.
pub const FREE_STEPS: u64 = 20_000;
/// Longest name of a rule, in bytes.
pub const RULE_NAME_MAX: usize = 64;
/// Most entries of each list of a transaction's facts; what is more is left out and marked.
pub const FACTS_MAX: usize = 256;
/// Compiled scripts that an engine keeps.
pub const CACHE_MAX: usize = 256;
/// Most cases in a file, and its length in bytes.
pub const CASES_MAX: usize = 1_024;
/// Longest file of cases, in bytes.
pub const CASES_BYTES_MAX: usize = 4 * 1024 * 1024;
