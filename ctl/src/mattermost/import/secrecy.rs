//! What is to be kept from readers: by its name, or by what it looks like.

/// Whether a key or variable of this name holds a secret.
pub(crate) fn names_secret(name: &str) -> bool {
    let upper = name
        .trim_matches(['"', '\'', ':'])
        .to_ascii_uppercase()
        .replace('_', "");
    let word = |it: &str| upper.contains(it);
    let address = ["ENDPOINT", "FILE", "PATH", "ENABLE", "DIRECTORY", "URL"]
        .iter()
        .any(|it| upper.ends_with(it));
    let secret = [
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
    ]
    .iter()
    .any(|it| word(it));
    (secret || upper.ends_with("KEY") || upper.ends_with("PASS")) && !address
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
    url || value.contains("password=") || value.contains("PRIVATE KEY")
}

/// Whether a variable belongs into secrets.toml. What says nothing (a switch, a number, a path, an
/// address) stays where it can be read.
pub(crate) fn secret_variable(name: &str, value: &str) -> bool {
    let plain = value.is_empty()
        || value.starts_with('/')
        || matches!(value, "true" | "false")
        || value.chars().all(|it| it.is_ascii_digit())
        || value.starts_with("http://")
        || value.starts_with("https://");
    value_secret(value) || (names_secret(name) && !plain) || plan::looks_secret(name, value)
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
            "service_enable_user_access_token_enable",
            "team_site_name",
        ] {
            assert!(!names_secret(name), "{name}");
        }
        assert!(value_secret("postgres://u:p@db/mm"));
        assert!(value_secret("user=x password=y"));
        assert!(!value_secret("https://chat.example.com/a@b"));
        assert!(secret_variable("X_TOKEN", "abc") && !secret_variable("X_TOKEN", "true"));
        assert!(secret_variable("LDAP_BINDPASSWORD", "/abc") && secret_variable("DB_PASS", "4711"));
    }
}
