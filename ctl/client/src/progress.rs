//! A line on the terminal of stderr that says what the command waits for; a pipe gets nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The line; dropping it clears the line.
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

    /// Shows what the command waits for now.
    pub fn say(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(message());
        }
    }

    /// Runs `print` while the spinner is hidden, so that the lines of both do not mix.
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
