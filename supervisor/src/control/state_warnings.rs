//! Warnings on the supervisor's own files for `ctl status`: logged once, and shown as long as an
//! administrator should see them. The keeper remembers them, so that they outlive a control
//! process.

use serde::{Deserialize, Serialize};

use crate::control::{Context, record_keys::Key, text};

/// Files that were put aside and are told of; more are in the log.
const ASIDE_MAX: usize = 20;

/// Trouble with the supervisor's own files, and missing privileges of this control process.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateWarnings {
    /// Unreadable state files that were set aside, until the daemon ends.
    aside: Vec<String>,
    /// Secrets that were put back, until a reconfigure has none to put back.
    put_back: Option<String>,
    /// Missing privileges or unreadable state of this control process.
    #[serde(skip)]
    boot: Vec<String>,
}

impl StateWarnings {
    /// `boot`: missing privileges or unreadable state.
    pub(super) fn new(boot: Vec<String>) -> Self {
        Self {
            boot,
            ..Self::default()
        }
    }

    /// Missing privileges or unreadable state of this control process.
    pub(super) fn of_boot(&self) -> &[String] {
        &self.boot
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.put_back.iter().chain(&self.aside).cloned().collect()
    }
}

impl StateWarnings {
    /// Restores the warnings of an earlier control process, and adds those of this start.
    pub(super) fn restore(
        &mut self,
        cx: &mut Context,
        record: Option<&String>,
        found: Vec<String>,
    ) {
        // The content of an unreadable record is in the log.
        let earlier = record.and_then(|record| serde_json::from_str::<Self>(record).ok());
        let earlier = earlier.unwrap_or_default();
        (self.aside, self.put_back) = (earlier.aside, earlier.put_back);
        if !found.is_empty() {
            self.aside.extend(found);
            let surplus = self.aside.len().saturating_sub(ASIDE_MAX);
            self.aside.drain(..surplus);
            self.remember(cx);
        }
    }

    /// Secrets that were gone from the files and have been put back; none: that is over.
    pub(super) fn note_put_back(&mut self, cx: &mut Context, secrets: &[(String, String)]) {
        let told = (!secrets.is_empty()).then(|| {
            let names = secrets.iter().map(|(section, key)| format!("{section}.{key}"));
            let names = names.collect::<Vec<_>>().join(", ");
            let at = text::time(cx.now.unix_ms);
            format!(
                "secrets.toml had lost {names}, put back at {at} as applied last: find out how; the next ctl reconfigure ends this warning"
            )
        });
        if self.put_back != told {
            self.put_back = told;
            self.remember(cx);
        }
    }

    fn remember(&mut self, cx: &mut Context) {
        let record = serde_json::to_string(self).expect("it is plain data");
        cx.remember(Key::StateWarnings, record);
    }
}
