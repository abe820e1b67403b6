//! URLs by which services are reached: a scheme, a host, perhaps a port and a path.

use std::{fmt, sync::Arc};

use minijinja::value::{Object, ObjectRepr, Value};

/// A URL in its parts. In a template it is the text it was written as, with attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    text: String,
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
}

/// Attributes of a URL in a template.
pub(crate) const URL_PARTS: &[&str] = &["scheme", "host", "port", "path", "authority"];

impl Url {
    /// Reads a URL by which a service is reached: a scheme, a host, perhaps a port and a path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; where it is meant to be unset, remove the line".to_owned());
        }
        let wrong = |why: &str| Err(format!("`{}` is not a URL: {why}", without_user(text)));
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("it has no scheme, such as https://");
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if scheme.is_empty() || !scheme.chars().all(valid) {
            return wrong("its scheme is malformed");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return wrong("it contains a space");
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let address = authority
            .rsplit_once('@')
            .map_or(authority, |(_, address)| address);
        let (host, port) = if let Some(after) = address.strip_prefix('[') {
            let Some((host, tail)) = after.split_once(']') else {
                return wrong("the bracket of its address is not closed");
            };
            (format!("[{host}]"), tail.strip_prefix(':'))
        } else {
            match address.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (address.to_owned(), None),
            }
        };
        if host.is_empty() {
            return wrong("it has no host");
        }
        if host.contains([';', '{', '}', '"', '\'', '$', '\\', '`']) {
            return wrong("its host has a character that no host has");
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = match port {
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return wrong("its port is not a number from 1 to 65535"),
            },
            None if scheme == "https" => 443,
            None => 80,
        };
        Ok(Self {
            text: text.to_owned(),
            scheme,
            host,
            port,
            path: path.to_owned(),
        })
    }
}

/// A URL without the user and password before its host.
pub(crate) fn without_user(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    // A password may have a slash in it, though it should not.
    match rest.rfind('@').filter(|_| start > 0) {
        Some(at) => format!("{scheme}…{}", &rest[at..]),
        None => text.to_owned(),
    }
}

impl Url {
    /// The URL as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is a user, and perhaps a password, before the host.
    pub(crate) fn has_user(&self) -> bool {
        without_user(&self.text) != self.text
    }
}

impl Object for Url {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "scheme" => Value::from(&self.scheme),
            "host" => Value::from(&self.host),
            "port" => Value::from(self.port),
            "path" => Value::from(&self.path),
            "authority" => Value::from(format!("{}:{}", self.host, self.port)),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
