//! A POST that Mattermost's and Slack's incoming webhooks both take.
//!
//! Limits: [`ATTEMPTS_MAX`] attempts of [`ATTEMPT_MAX`] each, with a growing pause, or the one that
//! the server asks for. No redirect is followed: the URL is a password, and not for others.

use std::time::Duration;

use plan::NotifyOn;
use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Message;

/// Longest time of one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Attempts in all.
const ATTEMPTS_MAX: u32 = 4;
/// Pause before the second attempt; each further one is three times as long.
const PAUSE: Duration = Duration::from_secs(1);
/// A server may ask for a pause as long as this.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// Longest text that is sent, in characters.
const TEXT_CHARACTERS_MAX: usize = 3000;

/// Why an attempt has failed.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    why: String,
    /// Another attempt may help.
    again: bool,
    /// The pause that the server asks for.
    pause: Option<Duration>,
}

/// Tells it.
pub(super) fn post(url: &str, message: &Message) -> Result<(), String> {
    let agent = agent();
    let body = payload(message).to_string();
    let mut pause = PAUSE;
    for attempt in 1.. {
        let failed = match attempt_once(&agent, url, &body) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        if !failed.again || attempt == ATTEMPTS_MAX {
            let tries = text::counted(attempt, "attempt", "attempts");
            return Err(format!("{} ({tries})", failed.why));
        }
        wait(failed.pause.unwrap_or(pause).min(PAUSE_MAX));
        pause *= 3;
    }
    unreachable!("the last attempt returns")
}

fn wait(pause: Duration) {
    let ms = u16::try_from(pause.as_millis()).unwrap_or(u16::MAX);
    // Nothing is waited for but time; a signal ends the pause early, which does no harm.
    let _ = nix::poll::poll(&mut [], nix::poll::PollTimeout::from(ms));
}

fn agent() -> ureq::Agent {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    // The system's own; SSL_CERT_FILE and SSL_CERT_DIR may name others.
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots.iter().map(|it| Certificate::from_der(it).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider);
    ureq::Agent::config_builder()
        .timeout_global(Some(ATTEMPT_MAX))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("mattervisor/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build()
        .new_agent()
}

fn attempt_once(agent: &ureq::Agent, url: &str, body: &str) -> Result<(), Failed> {
    let request = agent.post(url).header("content-type", "application/json");
    let answer = request.send(body).map_err(|error| failure(&error))?;
    let pause = answer
        .headers()
        .get("retry-after")
        .and_then(|it| it.to_str().ok()?.trim().parse().ok());
    judge(answer.status().as_u16(), pause.map(Duration::from_secs))
}

/// The verdict that an HTTP status means.
fn judge(status: u16, pause: Option<Duration>) -> Result<(), Failed> {
    let more = match status {
        200..=299 => return Ok(()),
        300..=399 => ", a redirect, which is not followed",
        404 | 410 => ": this webhook does not exist (any more)",
        _ => "",
    };
    Err(Failed {
        why: format!("the server answers {status}{more}"),
        again: matches!(status, 429 | 500..=599),
        pause,
    })
}

/// An error in words that have nothing of the URL: some of the library's quote it.
fn failure(error: &ureq::Error) -> Failed {
    // Errors of TLS come wrapped in errors of the connection.
    let tls: Option<&rustls::Error> = match error {
        ureq::Error::Io(error) => error.get_ref().and_then(|it| it.downcast_ref()),
        ureq::Error::Rustls(error) => Some(error),
        _ => None,
    };
    if let Some(error) = tls {
        return Failed {
            why: format!("TLS fails: {error}"),
            again: false,
            pause: None,
        };
    }
    let (why, again) = match error {
        ureq::Error::Timeout(_) => ("the server does not answer in time".to_owned(), true),
        ureq::Error::Io(error) => (format!("cannot reach the server: {}", error.kind()), true),
        ureq::Error::HostNotFound => ("cannot find the server's address".to_owned(), true),
        ureq::Error::ConnectionFailed => ("cannot connect to the server".to_owned(), true),
        ureq::Error::Protocol(_) => ("the server does not speak HTTP".to_owned(), true),
        ureq::Error::Tls(error) => (format!("TLS fails: {error}"), false),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            ("its address is no URL".to_owned(), false)
        }
        ureq::Error::InvalidProxyUrl => ("the proxy's address is no URL".to_owned(), false),
        _ => ("the request fails".to_owned(), false),
    };
    Failed {
        why,
        again,
        pause: None,
    }
}

/// `text` for all, and short fields for those that show them.
fn payload(message: &Message) -> Value {
    let text: String = message.text.chars().take(TEXT_CHARACTERS_MAX).collect();
    let mut fields = Vec::new();
    let mut field = |title: &str, value: &str| {
        if !value.is_empty() {
            fields.push(json!({ "title": title, "value": escaped(value), "short": true }));
        }
    };
    field("Host", &message.host);
    field("Service", &message.service);
    field("State", &message.state);
    field("At", &message.at());
    let colour = match message.cause {
        NotifyOn::Failed | NotifyOn::Unhealthy | NotifyOn::Overdue => "#d24b4e",
        NotifyOn::Restarted | NotifyOn::Disk | NotifyOn::DeletedBinary | NotifyOn::Certificate => {
            "#e0a800"
        }
        NotifyOn::Recovered => "#3db887",
    };
    json!({
        "text": format!("{}: {}", escaped(&message.host), escaped(&text)),
        "username": "mattervisor",
        "attachments": [{
            "fallback": message.cause_name(),
            "color": colour,
            "fields": fields,
        }],
    })
}

/// What a service has said is text, whatever it looks like: no formatting, no link, nobody called.
/// Mattermost takes backslashes and entities; Slack takes the entities, and shows a backslash.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' => out.push('\''),
            // A name after it would be called.
            '@' => out.push_str("@\u{200b}"),
            '*' | '~' | '[' | ']' | '\\' | '|' | '#' => out.extend(['\\', character]),
            // Within a word it is no formatting.
            '_' if before.is_alphanumeric() && next.is_alphanumeric() => out.push('_'),
            '_' => out.push_str("\\_"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
        before = character;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::example;

    #[test]
    fn nothing_that_a_service_says_is_formatted_linked_or_calls_anybody() {
        assert_eq!(
            escaped("a_b _c_ *d* `e` [f](g) <!channel> @all & \n# h ~i~ j|k \\"),
            "a_b \\_c\\_ \\*d\\* 'e' \\[f\\](g) &lt;!channel&gt; @\u{200b}all &amp;  \\# h \
             \\~i\\~ j\\|k \\\\"
        );
    }

    #[test]
    fn the_payload_has_text_name_and_short_fields() {
        let mut message = example();
        message.text = format!("x{}", "y".repeat(10_000));
        let sent = payload(&message);
        assert_eq!(sent["username"], "mattervisor");
        let text = sent["text"].as_str().unwrap();
        assert!(text.starts_with("chat1: xyy"), "{text}");
        assert!(text.chars().count() < TEXT_CHARACTERS_MAX + 20);
        let fields = sent["attachments"][0]["fields"].as_array().unwrap();
        let said: Vec<_> = fields
            .iter()
            .map(|it| (it["title"].as_str().unwrap(), it["value"].as_str().unwrap()))
            .collect();
        assert_eq!(
            said,
            [
                ("Host", "chat1"),
                ("Service", "mattermost"),
                ("State", "failed"),
                ("At", "2023-11-14T22:13:20Z"),
            ]
        );
    }

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_is_not() {
        let pause = Some(Duration::from_secs(7));
        assert_eq!(judge(200, None), Ok(()));
        assert!(judge(503, None).unwrap_err().again);
        let busy = judge(429, pause).unwrap_err();
        assert_eq!((busy.again, busy.pause), (true, pause));
        for status in [301, 400, 403, 404] {
            assert!(!judge(status, pause).unwrap_err().again, "{status}");
        }
    }

    #[test]
    fn an_error_says_nothing_of_the_url() {
        let url = "http://127.0.0.1:1/hooks/planted-secret\u{7f} x";
        let why = post(url, &example()).unwrap_err();
        assert!(!why.contains("planted"), "{why}");
        assert!(why.contains("no URL"), "{why}");
    }
}
