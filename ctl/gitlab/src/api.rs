//! GitLab's REST API of instance-wide applications, and its check of a client's secret.
//!
//! Limits: [`REQUEST_MAX`] for a request without `--timeout`, [`ANSWER_BYTES_MAX`] for an answer,
//! [`PAGES_MAX`] pages. The client follows no redirect: the token is for the given address alone.

use std::{path::Path, time::Duration};

use client::{
    Error, Kind,
    render::{shown, shown_foreign},
};
use https::{agent, roots};
use serde_json::{Value, json};
use ureq::http::{Response, Uri};

use super::{
    Secret,
    application::{Application, NAME, SCOPE, Told},
};

/// Longest time of one request, name lookup and connection included.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Largest answer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Longest id or secret of an application, in bytes; real ones have 64 to 70.
const CREDENTIAL_MAX: usize = 512;
/// Most pages of a list of applications.
const PAGES_MAX: usize = 100;

/// A GitLab instance, queried with one token.
pub(super) struct Gitlab {
    agent: ureq::Agent,
    /// Base URL without a trailing slash.
    base: String,
    token: Secret,
}

/// Status, redirect target or next page, and text of an answer.
struct Answer {
    status: u16,
    location: Option<String>,
    next_page: Option<String>,
    body: String,
}

/// GitLab's address as stored, without a slash at its end: paths are appended to the address.
pub(super) fn base_url(text: &str) -> Result<String, Error> {
    let wrong = || {
        Error::new(
            Kind::Usage,
            format!("`{}` is not the address of a GitLab", shown(text)),
        )
        .hint("write it as users do: --url https://gitlab.example.com")
    };
    let uri: Uri = text.trim().parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let user = uri.authority().is_some_and(|it| it.as_str().contains('@'));
    if !matches!(scheme, "http" | "https") || host.is_empty() || user || uri.query().is_some() {
        return Err(wrong());
    }
    Ok(text.trim().trim_end_matches('/').to_owned())
}

impl Gitlab {
    /// Creates the client; sends nothing yet.
    pub(super) fn new(
        base: &str,
        token: Secret,
        ca_file: Option<&Path>,
        timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        Ok(Self {
            agent: agent(roots(ca_file)?, timeout.unwrap_or(REQUEST_MAX)),
            base: base.to_owned(),
            token,
        })
    }

    /// The base URL.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// All applications of the instance.
    pub(super) fn list(&self) -> Result<Vec<Application>, Error> {
        let mut all = Vec::new();
        let mut page = "1".to_owned();
        for _ in 0..PAGES_MAX {
            let path = format!("/api/v4/applications?per_page=100&page={page}");
            let answer = self.asked(self.get(&path))?;
            let some: Vec<Application> =
                serde_json::from_str(&answer.body).map_err(|_| self.no_gitlab())?;
            all.extend(some);
            match answer.next_page {
                // The page number becomes part of a URL, so it must be a number.
                Some(next) if next.parse::<u32>().is_ok() => page = next,
                Some(next) if !next.is_empty() => return Err(self.no_gitlab()),
                _ => return Ok(all),
            }
        }
        Err(self.no_gitlab())
    }

    /// Creates the application.
    pub(super) fn create(&self, redirects: &[String; 2]) -> Result<Told, Error> {
        let body = json!({
            "name": NAME, "redirect_uri": redirects.join("\n"), "scopes": SCOPE, "confidential": true,
        });
        let answer = self.asked(self.post("/api/v4/applications", Some(&body)))?;
        self.told(&answer)
    }

    /// Renews the secret of an application; `None` if this GitLab (before 16.11) cannot.
    pub(super) fn renew(&self, application: &Application) -> Result<Option<Told>, Error> {
        let path = format!("/api/v4/applications/{}/renew-secret", application.id);
        let answer = self
            .post(&path, None)
            .map_err(|error| self.failed(&error))?;
        if answer.status == 404 {
            return Ok(None);
        }
        let mut told = self.told(&self.judged(answer)?)?;
        // Only the secret is new; the other fields stay as listed.
        told.application.clone_from(application);
        Ok(Some(told))
    }

    /// Removes an application; a missing application counts as removed.
    pub(super) fn delete(&self, application: &Application) -> Result<(), Error> {
        let path = format!("/api/v4/applications/{}", application.id);
        let request = self.agent.delete(self.url(&path));
        let request = request.header("private-token", self.token.reveal());
        let answer = request.call().and_then(answer);
        let answer = answer.map_err(|error| self.failed(&error))?;
        if answer.status == 404 {
            return Ok(());
        }
        self.judged(answer).map(|_| ())
    }

    /// Whether the secret belongs to the client. GitLab checks the secret before the code, so a
    /// made-up code suffices: GitLab refuses the code if the secret is right, else the client.
    pub(super) fn secret_is_right(
        &self,
        client: &str,
        secret: &Secret,
        redirect: &str,
    ) -> Result<bool, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", "none"),
            ("redirect_uri", redirect),
            ("client_id", client),
            ("client_secret", secret.reveal()),
        ];
        let request = self.agent.post(self.url("/oauth/token"));
        let answer = request.send_form(fields).and_then(answer);
        let answer = answer.map_err(|error| self.failed(&error))?;
        let said: Value = serde_json::from_str(&answer.body).map_err(|_| self.no_gitlab())?;
        match said["error"].as_str() {
            Some("invalid_client") => Ok(false),
            Some("invalid_grant") => Ok(true),
            _ => self.judged(answer).and(Err(self.no_gitlab())),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        let request = self.agent.get(self.url(path));
        let request = request.header("private-token", self.token.reveal());
        request.call().and_then(answer)
    }

    fn post(&self, path: &str, body: Option<&Value>) -> Result<Answer, ureq::Error> {
        let request = self.agent.post(self.url(path));
        let request = request.header("private-token", self.token.reveal());
        match body {
            None => request.send_empty().and_then(answer),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                request.send(body.to_string()).and_then(answer)
            }
        }
    }

    fn asked(&self, answer: Result<Answer, ureq::Error>) -> Result<Answer, Error> {
        self.judged(answer.map_err(|error| self.failed(&error))?)
    }

    fn told(&self, answer: &Answer) -> Result<Told, Error> {
        let value: Value = serde_json::from_str(&answer.body).map_err(|_| self.no_gitlab())?;
        let secret = value["secret"].as_str().filter(|it| is_credential(it));
        let secret = secret.map(Secret::new).ok_or_else(|| self.no_gitlab())?;
        let application: Application =
            serde_json::from_value(value).map_err(|_| self.no_gitlab())?;
        if !is_credential(&application.client_id) {
            return Err(self.no_gitlab());
        }
        Ok(Told {
            application,
            secret,
        })
    }

    /// The answer if its status is a success, else an error with a hint.
    fn judged(&self, answer: Answer) -> Result<Answer, Error> {
        let base = shown(&self.base).into_owned();
        let said: Option<Value> = serde_json::from_str(&answer.body).ok();
        let failed = |message: String| Error::new(Kind::Failed, message);
        let denied = |message: String| Error::new(Kind::NotAllowed, message);
        Err(match answer.status {
            200..=299 => return Ok(answer),
            301 | 302 | 303 | 307 | 308 => {
                let to = answer.location.unwrap_or_default();
                failed(format!("{base} sends elsewhere: {}", shown_foreign(&to)))
                    .hint("give the address that it sends to as --url; no redirect is followed with a token")
            }
            401 if said.is_some() => denied(format!("{base} does not accept the token")).hint(
                "it may have expired or been revoked; an administrator makes another in GitLab, \
                 under Preferences > Access tokens, with the scope api",
            ),
            403 if said
                .as_ref()
                .is_some_and(|it| it["error"] == "insufficient_scope") =>
            {
                denied("the token may not do this: its scope is too small".to_owned())
                    .hint("make one with the scope api")
            }
            403 if said.is_some() => denied(format!(
                "the token is not that of an administrator of {base}"
            ))
            .hint(
                "only administrators may manage applications of the instance; where Admin \
                     Mode is on, the token needs the scope admin_mode too",
            ),
            404 => failed(format!("there is no GitLab API at {base}"))
                .hint("is the address right? a GitLab below a path is https://example.com/PATH"),
            429 => failed(format!("{base} is asked too often; nothing was done"))
                .hint("wait a minute and try again"),
            status @ 500..=599 => failed(format!("{base} answers with status {status}"))
                .hint("is GitLab up? on its server: gitlab-ctl status"),
            status => {
                let why = said.as_ref().map_or_else(String::new, words);
                failed(format!("{base} refuses with status {status}{why}"))
            }
        })
    }

    fn no_gitlab(&self) -> Error {
        let base = shown(&self.base);
        Error::new(Kind::Failed, format!("what answers at {base} is no GitLab"))
            .hint("is the address right? open it in a browser")
    }

    /// The error of a request that got no answer.
    fn failed(&self, error: &ureq::Error) -> Error {
        let base = shown(&self.base);
        let (why, hint) = reason(error);
        Error::new(Kind::Failed, format!("cannot ask {base}: {why}")).hint(hint)
    }
}

/// Whether a text can be an id or a secret: GitLab's answer becomes a value of secrets.toml.
fn is_credential(text: &str) -> bool {
    (1..=CREDENTIAL_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// GitLab's message, such as `: redirect_uri must be an absolute URI.`, from whichever field has
/// one.
fn words(said: &Value) -> String {
    let what = ["message", "error_description", "error"];
    let text = what.iter().find_map(|key| match &said[*key] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    text.map_or_else(String::new, |text| format!(": {}", shown_foreign(&text)))
}

fn answer(response: Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let header = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let (location, next_page) = (header("location"), header("x-next-page"));
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let body = body
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_string()?;
    Ok(Answer {
        status,
        location,
        next_page,
        body,
    })
}

/// Why a request got no answer, and a hint.
fn reason(error: &ureq::Error) -> (String, String) {
    // ureq may wrap an error of TLS in an I/O error.
    let tls: Option<&rustls::Error> = match error {
        ureq::Error::Io(error) => error.get_ref().and_then(|it| it.downcast_ref()),
        ureq::Error::Rustls(error) => Some(error),
        _ => None,
    };
    if let Some(error) = tls {
        return untrusted(error);
    }
    let network = "is the address right, and may this host reach it? curl -v ADDRESS shows more";
    let why = match error {
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => "the answer is too large".to_owned(),
        // No message of these errors holds a secret: secrets are in bodies and headers alone.
        other => other.to_string(),
    };
    (why, network.to_owned())
}

fn untrusted(error: &rustls::Error) -> (String, String) {
    use rustls::CertificateError as Bad;

    let own =
        "its certificate authority may be GitLab's own: give it as --ca-file FILE, a PEM file";
    let (why, hint) = match error {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => (
            "its certificate is from an authority that is not trusted here".to_owned(),
            own,
        ),
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => (
            "its certificate has expired".to_owned(),
            "renew it on GitLab's server",
        ),
        rustls::Error::InvalidCertificate(
            Bad::NotValidForName | Bad::NotValidForNameContext { .. },
        ) => (
            "its certificate is for another name".to_owned(),
            "give the name that the certificate has as --url",
        ),
        rustls::Error::InvalidCertificate(Bad::Other(other))
            if matches!(
                other.0.downcast_ref(),
                Some(webpki::Error::CaUsedAsEndEntity)
            ) =>
        {
            (
                "its certificate is that of an authority, which cannot be a server's".to_owned(),
                "make the server one of its own, signed by that authority or by itself with \
                 basicConstraints=CA:FALSE",
            )
        }
        other => (format!("TLS fails: {other}"), own),
    };
    (why, hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_write_it_and_nothing_else() {
        for (given, kept) in [
            ("https://gitlab.example.com", "https://gitlab.example.com"),
            ("https://gitlab.example.com/ ", "https://gitlab.example.com"),
            ("http://10.0.0.1:8080/git/", "http://10.0.0.1:8080/git"),
        ] {
            assert_eq!(base_url(given).unwrap(), kept);
        }
        for bad in [
            "",
            "gitlab.example.com",
            "ftp://gitlab.example.com",
            "https://",
            "https://me:pw@gitlab.example.com",
            "https://gitlab.example.com/?a=b",
        ] {
            let error = base_url(bad).expect_err(bad);
            assert_eq!(error.kind, Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn an_id_or_a_secret_is_one_word() {
        assert!(is_credential("gloas-0123456789abcdef"));
        let long = "a".repeat(CREDENTIAL_MAX + 1);
        for bad in ["", "a b", "a\nmattermost.env = {}", "\u{1b}", "é", &long] {
            assert!(!is_credential(bad), "{bad:?}");
        }
    }

    #[test]
    fn nobody_there_is_told_without_the_token() {
        let gitlab = Gitlab::new("http://127.0.0.1:1", Secret::new("planted"), None, None).unwrap();
        let error = gitlab.list().unwrap_err();
        let said = format!("{} {}", error.message, error.hints.join(" "));
        assert!(said.contains("cannot ask http://127.0.0.1:1"), "{said}");
        assert!(
            said.contains("refused") && !said.contains("planted"),
            "{said}"
        );
    }
}
