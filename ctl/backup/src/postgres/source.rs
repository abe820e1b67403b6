//! Translates Mattermost's data source into variables of libpq's environment.
//!
//! Mattermost's driver reads a URL or `key=value` pairs as libpq does, and knows keys that libpq
//! does not: keys about the server are translated, the others concern only the driver.

use crate::Error;

/// Keys of a data source, and the variables with the same meaning.
const KEYS: [(&str, &str); 12] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("sslmode", "PGSSLMODE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

type Pairs = Vec<(String, String)>;

/// The variables for a data source.
///
/// # Errors
/// [`Error::Source`] if the text has neither form.
pub(super) fn variables(text: &str) -> Result<Vec<(&'static str, String)>, Error> {
    let text = text.trim();
    let url = ["postgres://", "postgresql://"];
    let pairs = match url.iter().find_map(|start| text.strip_prefix(start)) {
        Some(rest) => of_url(rest),
        None => of_pairs(text),
    };
    let pairs = pairs.ok_or(Error::Source)?;
    let known = pairs.into_iter().filter_map(|(key, value)| {
        let (_, variable) = KEYS.iter().find(|(known, _)| *known == key)?;
        Some((*variable, value))
    });
    Ok(known.collect())
}

/// Parses the part behind `postgres://`.
fn of_url(rest: &str) -> Option<Pairs> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, place) = place.rsplit_once('@').unwrap_or(("", place));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, ""),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let parts = [
        ("user", user),
        ("password", password),
        ("host", host),
        ("port", port),
        ("dbname", database),
    ];
    let mut pairs = Vec::new();
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    for (key, value) in parts.into_iter().chain(query) {
        if !value.is_empty() {
            pairs.push((key.to_owned(), decoded(value)?));
        }
    }
    Some(pairs)
}

/// Decodes percent encoding: `%41` is `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Parses `key=value key='a value'`, in which a backslash escapes the next character.
fn of_pairs(text: &str) -> Option<Pairs> {
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|it| it.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return (!pairs.is_empty()).then_some(pairs);
        }
        let mut key = String::new();
        while let Some(it) = rest.next_if(|it| *it != '=' && !it.is_whitespace()) {
            key.push(it);
        }
        while rest.next_if(|it| it.is_whitespace()).is_some() {}
        rest.next_if_eq(&'=')?;
        while rest.next_if(|it| it.is_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('\\') => value.push(rest.next()?),
                Some('\'') if quoted => break,
                Some(it) if !quoted && it.is_whitespace() => break,
                Some(it) => value.push(it),
                None if quoted => return None,
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let read = variables(text).expect("it is a data source");
        read.iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    #[test]
    fn a_url_is_read() {
        assert_eq!(
            of(
                "postgres://mm%40x:p%2Fw@db.example.com:5433/mattermost?sslmode=require&connect_timeout=10&binary_parameters=yes"
            ),
            [
                "PGUSER=mm@x",
                "PGPASSWORD=p/w",
                "PGHOST=db.example.com",
                "PGPORT=5433",
                "PGDATABASE=mattermost",
                "PGSSLMODE=require"
            ]
        );
        assert_eq!(
            of("postgres:///mm?host=/run/postgresql"),
            ["PGDATABASE=mm", "PGHOST=/run/postgresql"]
        );
        assert_eq!(
            of("postgresql://u@[::1]/d"),
            ["PGUSER=u", "PGHOST=::1", "PGDATABASE=d"]
        );
    }

    #[test]
    fn pairs_are_read() {
        assert_eq!(
            of(r"user='a b' host = /run/x dbname='it\'s' password=a\ b"),
            [
                "PGUSER=a b",
                "PGHOST=/run/x",
                "PGDATABASE=it's",
                "PGPASSWORD=a b"
            ]
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "mattermost", "user='open", "postgres://u:%zz@h/d"] {
            assert!(variables(text).is_err(), "{text}");
        }
    }
}
