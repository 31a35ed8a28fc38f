//! The language that people are addressed in.

use std::sync::OnceLock;

use clap::ValueEnum;

/// The language of this run, for messages that are made far from the command.
static CURRENT: OnceLock<Lang> = OnceLock::new();

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// The language asked for, else that of the environment.
    pub(crate) fn choose(asked: Option<Self>) -> Self {
        let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let from = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        asked.unwrap_or_else(|| Self::of_locale(variables.into_iter().find_map(from).as_deref()))
    }

    /// Makes this the language of the run.
    pub(crate) fn set_current(self) {
        // Told twice, the first stays.
        let _ = CURRENT.set(self);
    }

    /// The language of the run; English before it is known.
    pub(crate) fn current() -> Self {
        CURRENT.get().copied().unwrap_or(Self::En)
    }

    fn of_locale(locale: Option<&str>) -> Self {
        match locale {
            Some(locale) if locale.to_ascii_lowercase().starts_with("zh") => Self::Zh,
            _ => Self::En,
        }
    }

    /// One of two texts.
    pub(crate) const fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_locale_gives_chinese_and_every_other_english() {
        assert_eq!(Lang::of_locale(Some("zh_CN.UTF-8")), Lang::Zh);
        assert_eq!(Lang::of_locale(Some("de_DE.UTF-8")), Lang::En);
        assert_eq!(Lang::of_locale(Some("C")), Lang::En);
        assert_eq!(Lang::of_locale(None), Lang::En);
        assert_eq!(Lang::choose(Some(Lang::Zh)), Lang::Zh);
    }
}
