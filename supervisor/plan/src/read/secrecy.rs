//! Which values may be shown.
//!
//! A variable that an administrator sets by an env map is shown only where something says that it
//! is harmless: the table of the variables that its program knows, `public` under `[variables]`, or
//! its form (empty, true, false). A guess by names can only add to that: what looks like a secret
//! is one, and what does not may be one all the same.
//!
//! Theory: what *is* a secret ([`Secrecy::Secret`], or by its looks) is also looked for in other
//! values, and the file it stands in must be closed to others. What only *may* be one
//! ([`Secrecy::Private`]) is hidden where it stands, and no more.

/// Readers that may see a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Anybody may see the value.
    Public,
    /// The value is not known to be harmless.
    Private,
    /// The value is a password, a key or the like.
    Secret,
}

/// Variables that mean the same to every program: nothing secret goes into them.
const EVERYWHERE: &[&str] = &[
    "HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "LANG",
    "LC_*",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];
/// Words that make a name that of a secret wherever they stand in it.
const WORDS: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "SALT",
    "PRIVATEKEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "JWT",
];
/// Words that do so only as the last part of a name.
const LAST_WORDS: &[&str] = &["PASS", "PWD", "PW", "AUTH", "CRED", "CREDS", "DSN"];
/// Ends of the names of files, which are not what is in them.
const FILE_ENDS: &[&str] = &[".pem", ".key", ".crt", ".cert", ".json", ".txt"];
/// A longer user of a URL is no person's name but a token.
const USER_MAX: usize = 16;

/// Whether a pattern of names means this one, which is upper case. A `*` at its end stands for
/// anything.
pub(crate) fn names(pattern: &str, upper: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => upper.starts_with(begin),
        None => upper == pattern,
    }
}

/// Whether a variable of this name, in upper case, means the same to every program.
pub(crate) fn is_everywhere(upper: &str) -> bool {
    EVERYWHERE.iter().any(|pattern| names(pattern, upper))
}

/// Passwords, keys and tokens by their usual names, and values with a password in them.
pub fn looks_secret(name: &str, value: &str) -> bool {
    !is_switch(value) && (is_named(name, value) || holds_password(value))
}

/// Whether a value is too short to be a secret: empty, true or false.
pub(crate) fn is_switch(value: &str) -> bool {
    value.is_empty() || matches!(value, "true" | "false")
}

fn is_named(name: &str, value: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let last = upper.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let ends = upper.ends_with("KEY")
        || LAST_WORDS.contains(&last)
        || WORDS.iter().any(|word| upper.ends_with(word));
    if !ends && !WORDS.iter().any(|word| upper.contains(word)) {
        return false;
    }
    // `TOKEN_LIFETIME = "30"`, `TOKENENDPOINT = "https://…"`, `PRIVATEKEYFILE = "/…"`.
    let number = !ends && value.bytes().all(|byte| byte.is_ascii_digit());
    let url = value.starts_with("http://") || value.starts_with("https://");
    let file = value.starts_with('/')
        && (["FILE", "PATH", "DIR", "LOCATION"]
            .iter()
            .any(|word| upper.contains(word))
            || FILE_ENDS.iter().any(|end| value.ends_with(end)));
    !(number || url || file)
}

fn holds_password(value: &str) -> bool {
    // A password may have a slash in it, though it should not.
    let user = value
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .map(|(user, _)| user);
    let lower = value.to_ascii_lowercase();
    user.is_some_and(|user| user.contains(':') || user.len() > USER_MAX)
        || ["password=", "passwd=", "pwd=", "-----begin "]
            .iter()
            .any(|it| lower.contains(it))
        || ["basic ", "bearer "].iter().any(|it| lower.starts_with(it))
}

/// Whether there may be a user, and with that a password, before a host.
pub(crate) fn has_user(value: &str) -> bool {
    value.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names_whatever_their_values() {
        for (name, value) in [
            ("MM_LDAPSETTINGS_BINDPASSWORD", "/dGhpcyBpcyBh"),
            ("AWS_SECRET_ACCESS_KEY", "/abc/def+"),
            ("DB_PASSWORD", "123456"),
            ("SMTP_PASS", "hush"),
            ("API_CREDENTIALS", "hush"),
            ("SESSION_JWT", "hush"),
            ("MM_AUTH", "hush"),
            ("db.pwd", "hush"),
            ("X", "Basic aHVzaDpodXNo"),
            ("X", "host=h PASSWORD=hush"),
            ("X", "postgres://u:hush@h/x"),
            ("X", "https://ghp_0123456789abcdef0123@git.example/x"),
            ("X", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert!(looks_secret(name, value), "{name} = {value}");
        }
        for (name, value) in [
            ("TOKEN_LIFETIME", "30"),
            ("MM_PASSWORDSETTINGS_LOWERCASE", "true"),
            ("API_TOKEN", ""),
            ("X_TOKENENDPOINT", "https://h/token"),
            ("LDAP_PRIVATEKEYFILE", "/etc/ssl/x"),
            ("SSL_KEY", "/etc/ssl/x.key"),
            ("COMPASS", "north"),
            ("AUTHOR", "me"),
            ("X", "user=mm host=/run/x dbname=mm"),
            ("X", "postgres://mm@h/x"),
        ] {
            assert!(!looks_secret(name, value), "{name} = {value}");
        }
    }
}
