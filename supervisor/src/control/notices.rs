//! What has happened to the supervisor's own files, in words for `ctl status`: told once in the log,
//! and there for as long as an administrator should see it. The keeper remembers it, so that it
//! outlives a control process.

use serde::{Deserialize, Serialize};

use super::{Control, memory::Key, words};

/// Files that were put aside and are told of; more are in the log.
const ASIDE_MAX: usize = 20;

/// What is told.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notices {
    /// State files that were none, until the daemon ends.
    aside: Vec<String>,
    /// Secrets that were put back, until a reconfigure has nothing to put back.
    put_back: Option<String>,
}

impl Notices {
    pub(super) fn told(&self) -> Vec<String> {
        self.put_back.iter().chain(&self.aside).cloned().collect()
    }
}

impl Control {
    /// What an earlier control process told, and what this one has found at its start.
    pub(super) fn take_up_notices(&mut self, record: Option<&String>, found: Vec<String>) {
        // What cannot be read has been in the log.
        let earlier = record.and_then(|record| serde_json::from_str(record).ok());
        self.notices = earlier.unwrap_or_default();
        if !found.is_empty() {
            self.notices.aside.extend(found);
            let surplus = self.notices.aside.len().saturating_sub(ASIDE_MAX);
            self.notices.aside.drain(..surplus);
            self.remember_notices();
        }
    }

    /// Secrets that were gone from the files and have been put back; none: that is over.
    pub(super) fn note_put_back(&mut self, secrets: &[(String, String)]) {
        let told = (!secrets.is_empty()).then(|| {
            let names = secrets.iter().map(|(section, key)| format!("{section}.{key}"));
            let names = names.collect::<Vec<_>>().join(", ");
            let at = words::time(self.cx.now.unix_ms);
            format!(
                "secrets.toml had lost {names}, put back at {at} as applied last: find out how; the next ctl reconfigure ends this warning"
            )
        });
        if self.notices.put_back != told {
            self.notices.put_back = told;
            self.remember_notices();
        }
    }

    fn remember_notices(&mut self) {
        let record = serde_json::to_string(&self.notices).expect("it is plain data");
        self.cx.remember(Key::Notices, record);
    }
}
