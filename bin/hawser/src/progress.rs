//! Progress on standard error, where it does not mix with output.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Something that goes on. Disappears when dropped; shows nothing where no terminal is.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of unknown length.
    pub(crate) fn spinner(text: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner().with_message(text.into());
        Self::begin(bar, "{spinner} {msg} {elapsed}")
    }

    /// Of so many bytes.
    pub(crate) fn bytes(total: u64, text: impl Into<String>) -> Self {
        let bar = ProgressBar::new(total).with_message(text.into());
        Self::begin(
            bar,
            "{spinner} {msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
    }

    /// Of so many steps.
    pub(crate) fn steps(total: u64, text: impl Into<String>) -> Self {
        let bar = ProgressBar::new(total).with_message(text.into());
        Self::begin(bar, "{spinner} {msg} {bar:30} {pos}/{len} {eta}")
    }

    fn begin(bar: ProgressBar, template: &str) -> Self {
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Changes the text.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }

    /// Goes on by so much.
    pub(crate) fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// Sets how far it is.
    pub(crate) fn set(&self, position: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
