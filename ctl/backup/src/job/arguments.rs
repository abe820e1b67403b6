//! The arguments of a backup request.

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
        /// Directory to use instead of the configured one.
        #[serde(default)]
        to: Option<PathBuf>,
        /// Whether Mattermost may run meanwhile.
        #[serde(default)]
        mode: Mode,
        /// Whether to leave out the secrets that lie in files.
        #[serde(default)]
        without_secrets: bool,
        /// Whether to read the whole backup afterwards.
        #[serde(default)]
        verify: bool,
        /// Whether to remove old backups afterwards, if the new one is good.
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
