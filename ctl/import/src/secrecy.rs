//! Which values are secret: Mattermost's table of variables decides, else the name, or a value that
//! shows a password or key. A harmless look proves nothing: a secret may be all digits, or begin
//! with a slash.

use super::catalogue;

/// The embedded table of variables; see `[variables]` in mattermost.toml.
const TABLE: &str = "mattermost/variables.tsv";

/// Parts of names of secrets.
const WORDS: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "SALT",
    "PRIVATEKEY",
    "ACCESSKEY",
    "ENCRYPTKEY",
    "DATASOURCE",
    "CREDENTIAL",
    "SHAREDKEY",
];

/// Ends of names whose value is a place or a switch. nginx takes a certificate's key as a path.
const PLACES: [&str; 7] = [
    "ENDPOINT",
    "FILE",
    "PATH",
    "ENABLE",
    "DIRECTORY",
    "URL",
    "CERTIFICATEKEY",
];

/// Whether a key or variable of this name holds a secret.
pub(crate) fn names_secret(name: &str) -> bool {
    let upper = name.trim_matches(['"', '\'', ':']).to_ascii_uppercase();
    if let Some(secret) = known(&upper) {
        return secret;
    }
    let upper = upper.replace('_', "");
    let secret = WORDS.iter().any(|it| upper.contains(it));
    let place = PLACES.iter().any(|it| upper.ends_with(it));
    (secret || upper.ends_with("KEY") || upper.ends_with("PASS")) && !place
}

/// Whether the table has a variable as secret; `None` if the table lacks the variable.
fn known(upper: &str) -> Option<bool> {
    let (_, table) = catalogue::FILES.iter().find(|(name, _)| *name == TABLE)?;
    let row = table.lines().find_map(|line| {
        let (name, rest) = line.split_once('\t')?;
        (name == upper).then_some(rest)
    })?;
    let kind = row.split('\t').next().unwrap_or_default();
    // A private value may contain a secret.
    Some(matches!(kind.split(' ').nth(1), Some("secret" | "private")))
}

/// Whether a value shows by itself that it is secret: an address or a connection with a password,
/// a private key.
pub(crate) fn value_secret(value: &str) -> bool {
    let url = value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', ' ']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':'))
    });
    let word = |it: &str| value.contains(it);
    url || word("password=") || word("passwd=") || word("secrets=") || value.contains("PRIVATE KEY")
}

/// Whether a variable belongs in secrets.toml.
pub(crate) fn secret_variable(name: &str, value: &str) -> bool {
    !value.is_empty()
        && (names_secret(name) || value_secret(value) || plan::looks_secret(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_and_by_value() {
        for name in [
            "gitlab_secret",
            "sql_at_rest_encrypt_key",
            "smtp_password",
            "MM_FILESETTINGS_AMAZONS3SECRETACCESSKEY",
            "sql_data_source",
            "'MM_EMAILSETTINGS_INVITESALT'",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "gitlab_token_endpoint",
            "ssl_password_file",
            "ssl_certificate_key",
            "service_enable_user_access_token_enable",
            "team_site_name",
        ] {
            assert!(!names_secret(name), "{name}");
        }
        assert!(value_secret("postgres://u:p@db/mm"));
        assert!(value_secret("user=x password=y"));
        assert!(!value_secret("https://chat.example.com/a@b"));
        for value in ["abc", "/abc", "4711", "true", "https://x"] {
            assert!(secret_variable("X_TOKEN", value), "{value}");
            assert!(secret_variable("MM_LDAPSETTINGS_BINDPASSWORD", value));
        }
        // The table has this variable as a switch, though its name has TOKEN.
        assert!(!secret_variable(
            "MM_SERVICESETTINGS_ENABLEUSERACCESSTOKENS",
            "true"
        ));
        assert!(!secret_variable("X_TOKEN", "") && !secret_variable("PROXY", "https://x"));
    }
}
