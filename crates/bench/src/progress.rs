use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Progress on standard error; nothing where that is no terminal, except one line per step.
#[derive(Clone)]
pub(crate) struct Progress {
    bars: MultiProgress,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        use std::io::IsTerminal;
        Self {
            bars: MultiProgress::new(),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, text: &str) {
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
            eprintln!("  {what}");
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
