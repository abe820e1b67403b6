//! What has happened to the supervisor's own files, in words for `ctl status`: told once in the
//! log, and there for as long as an administrator should see it. The keeper remembers it, so that
//! it outlives a control process.

use serde::{Deserialize, Serialize};

use crate::control::{Context, record_keys::Key, text};

/// Files that were put aside and are told of; more are in the log.
const ASIDE_MAX: usize = 20;

/// What has happened to the supervisor's own files, and what this control process lacks.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateWarnings {
    /// State files that were none, until the daemon ends.
    aside: Vec<String>,
    /// Secrets that were put back, until a reconfigure has nothing to put back.
    put_back: Option<String>,
    /// What this control process lacks: privileges, readable state.
    #[serde(skip)]
    boot: Vec<String>,
}

impl StateWarnings {
    /// `boot`: what this control process lacks.
    pub(super) fn new(boot: Vec<String>) -> Self {
        Self {
            boot,
            ..Self::default()
        }
    }

    /// What this control process lacks.
    pub(super) fn of_boot(&self) -> &[String] {
        &self.boot
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.put_back.iter().chain(&self.aside).cloned().collect()
    }
}

impl StateWarnings {
    /// What an earlier control process told, and what this one has found at its start.
    pub(super) fn restore(
        &mut self,
        cx: &mut Context,
        record: Option<&String>,
        found: Vec<String>,
    ) {
        // What cannot be read has been in the log.
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
