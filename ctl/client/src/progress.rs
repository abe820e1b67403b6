//! One line on a terminal's stderr that says what is awaited; nothing at all in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The line. Gone when dropped.
pub struct Spinner(Option<ProgressBar>);

impl Spinner {
    /// A spinner if `visible`, else one that does nothing.
    pub fn new(visible: bool) -> Self {
        Self(visible.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        }))
    }

    /// Says what is awaited now.
    pub fn say(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(message());
        }
    }

    /// Lets `print` write lines without tearing the spinner's.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
