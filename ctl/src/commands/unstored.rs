//! Warns of changes that took effect but are not stored on disk.

use api::Unstored;
use client::render::{HINT, YELLOW, shown, styled};

/// Lines for stderr, whatever the format. The change itself has not failed: a script that stops the
/// service which fills the disk must go on.
pub(super) fn lines(unstored: &Unstored) -> Vec<String> {
    let holds = unstored.holds.iter().map(|why| {
        let what = "not stored, so a restart of the supervisor would forget it";
        (what, why)
    });
    let history = unstored.history.iter();
    let history = history.map(|why| ("not in the history of changes", why));
    let warnings = holds.chain(history).map(|(what, why)| {
        let text = format!("warning: {what}: {}", shown(why));
        styled(YELLOW, &text)
    });
    let mut lines: Vec<String> = warnings.collect();
    if !lines.is_empty() {
        let hint = "see to it that the state directory can be written; it is tried again until it works, and \
                    ctl status warns meanwhile";
        lines.push(format!("{} {hint}", styled(HINT, "hint:")));
    }
    lines
}
