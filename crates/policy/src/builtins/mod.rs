//! Functions and methods that scripts can use. What is not here does not exist for them: no clock,
//! no randomness, no input or output, nothing that shows addresses or hashes of values.

mod calendar;
mod functions;
mod methods;
mod verdicts;

pub(crate) use calendar::Civil;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($variant),+ }

        impl $type {
            /// By its name in scripts.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

names! {
    /// A function.
    Builtin {
        Abs = "abs",
        Address = "address",
        All = "all",
        Allow = "allow",
        Any = "any",
        Bool = "bool",
        Clock = "clock",
        Cosign = "cosign",
        Deny = "deny",
        Dict = "dict",
        Enumerate = "enumerate",
        Fail = "fail",
        Flag = "flag",
        Int = "int",
        Len = "len",
        List = "list",
        Max = "max",
        Min = "min",
        Range = "range",
        Repr = "repr",
        Reversed = "reversed",
        Sorted = "sorted",
        Str = "str",
        Sum = "sum",
        Tuple = "tuple",
        Type = "type",
        Units = "units",
        Zip = "zip",
    }
}

names! {
    /// A method of a text, a list or a dictionary.
    Method {
        Append = "append",
        Clear = "clear",
        Count = "count",
        EndsWith = "endswith",
        Extend = "extend",
        Find = "find",
        Format = "format",
        Get = "get",
        Index = "index",
        Insert = "insert",
        IsDigit = "isdigit",
        Items = "items",
        Join = "join",
        Keys = "keys",
        Lower = "lower",
        LStrip = "lstrip",
        Pop = "pop",
        Remove = "remove",
        RemovePrefix = "removeprefix",
        RemoveSuffix = "removesuffix",
        Replace = "replace",
        RStrip = "rstrip",
        SetDefault = "setdefault",
        Split = "split",
        StartsWith = "startswith",
        Strip = "strip",
        Update = "update",
        Upper = "upper",
        Values = "values",
    }
}
