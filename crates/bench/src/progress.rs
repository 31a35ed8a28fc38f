use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::Language;

/// Progress on standard error; nothing where that is no terminal, except one line per step.
#[derive(Clone)]
pub(crate) struct Progress {
    bars: MultiProgress,
    terminal: bool,
    quiet: bool,
    language: Language,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self::in_language(Language::En)
    }

    pub(crate) fn in_language(language: Language) -> Self {
        use std::io::IsTerminal;
        Self {
            bars: MultiProgress::new(),
            terminal: std::io::stderr().is_terminal(),
            quiet: false,
            language,
        }
    }

    /// Shows nothing.
    pub(crate) fn quiet() -> Self {
        Self {
            terminal: false,
            quiet: true,
            ..Self::new()
        }
    }

    /// One of two texts, English and Chinese.
    pub(crate) fn text(&self, en: &str, zh: &str) -> String {
        self.language.pick(en, zh).to_owned()
    }

    /// A line that stays.
    pub(crate) fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.terminal {
            // Without a terminal to draw on there is nobody to tell.
            let _ = self.bars.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// A bar of `length` steps; 0 for a spinner.
    pub(crate) fn bar(&self, what: &str, length: u64) -> Bar {
        if !self.terminal {
            if !self.quiet {
                eprintln!("  {what}");
            }
            return Bar(ProgressBar::hidden());
        }
        let bar = self.bars.add(ProgressBar::new(length));
        let template = if length == 0 {
            "  {spinner} {msg} {elapsed}"
        } else {
            "  {msg:34} [{bar:30}] {pos}/{len} {eta}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        // Redrawing costs the processors that are being measured.
        bar.enable_steady_tick(Duration::from_millis(500));
        Bar(bar)
    }
}

/// A bar that vanishes when dropped.
#[derive(Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    pub(crate) fn set(&self, to: u64) {
        self.0.set_position(to);
    }

    pub(crate) fn done(&self) {
        self.0.finish_and_clear();
    }
}
