//! What a job can be asked for.

use std::path::PathBuf;

use serde::Deserialize;

use crate::manifest::Mode;

/// The arguments of a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    tag = "operation",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub(super) enum Arguments {
    /// Make a backup.
    Create {
        /// Into this directory, not that of the configuration.
        #[serde(default)]
        to: Option<PathBuf>,
        /// Whether Mattermost may run meanwhile.
        #[serde(default)]
        mode: Mode,
        /// Without those secrets that lie in files.
        #[serde(default)]
        without_secrets: bool,
        /// Then read it as a whole.
        #[serde(default)]
        verify: bool,
        /// Then, if it is good, remove old ones.
        #[serde(default)]
        prune: bool,
    },
}

impl Arguments {
    /// Whether this backup differs from the scheduled ones: another directory, or parts left out.
    pub(super) fn is_aside(&self) -> bool {
        let Self::Create {
            to,
            without_secrets,
            ..
        } = self;
        to.is_some() || *without_secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused() {
        let read = |text| serde_json::from_str::<Arguments>(text);
        let plain = read(r#"{"operation":"create","mode":"offline","without-secrets":true}"#);
        let wanted = Arguments::Create {
            to: None,
            mode: Mode::Offline,
            without_secrets: true,
            verify: false,
            prune: false,
        };
        assert_eq!(plain.expect("it is known"), wanted);
        assert!(read(r#"{"operation":"create","withoutsecrets":true}"#).is_err());
        assert!(read(r#"{"operation":"destroy"}"#).is_err());
    }
}
