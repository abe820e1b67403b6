//! GitLab, as the settings name it, and the server's own requests to it.
//!
//! Authorities for TLS are the system's own, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name,
//! as with a program in Go.

use std::time::Duration;

use form_urlencoded::Serializer;
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::{config::Config, users::Arrival};

/// Time limit of one request.
const LIMIT: Duration = Duration::from_secs(30);
const SECTION: &str = "GitLabSettings";

/// The values of `GitLabSettings`.
pub(crate) struct Provider {
    /// The application's id.
    pub(crate) id: String,
    secret: String,
    /// Scope that the application asks for.
    pub(crate) scope: String,
    /// Address to which the browser is sent.
    pub(crate) auth_endpoint: String,
    token_endpoint: String,
    user_endpoint: String,
}

/// Why nobody was signed on.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Message for the browser.
    pub(crate) message: &'static str,
    /// Detail for the log, without any secret.
    pub(crate) detail: String,
}

impl Provider {
    /// The provider of a service; `None` if the service is unknown or not enabled.
    pub(crate) fn of(config: &Config, service: &str) -> Option<Self> {
        if service != "gitlab" || !config.flag(SECTION, "Enable") {
            return None;
        }
        let text = |key| config.text(SECTION, key).to_owned();
        Some(Self {
            id: text("Id"),
            secret: text("Secret"),
            scope: text("Scope"),
            auth_endpoint: text("AuthEndpoint"),
            token_endpoint: text("TokenEndpoint"),
            user_endpoint: text("UserAPIEndpoint"),
        })
    }
}

/// Exchanges the code for a token, and asks whose token it is. Blocks.
pub(crate) fn identify(provider: &Provider, code: &str, uri: &str) -> Result<Arrival, Failure> {
    let agent = agent();
    let token = token(&agent, provider, code, uri)?;
    let failed = |detail: String| Failure {
        message: "Token request to GitLab failed.",
        detail,
    };
    let mut answer = agent
        .get(&provider.user_endpoint)
        .header("Authorization", format!("Bearer {token}"))
        .header("Accept", "application/json")
        .call()
        .map_err(|error| failed(format!("{}: {error}", provider.user_endpoint)))?;
    if answer.status() != 200 {
        let status = answer.status();
        return Err(failed(format!("{}: {status}", provider.user_endpoint)));
    }
    let text = answer.body_mut().read_to_string();
    let user: Value = text
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let word = |key: &str| user[key].as_str().unwrap_or_default().to_owned();
    let arrival = Arrival {
        username: word("username"),
        email: word("email").to_lowercase(),
        auth_data: user["id"]
            .as_i64()
            .map(|id| id.to_string())
            .unwrap_or_default(),
    };
    if arrival.auth_data.is_empty() || arrival.email.is_empty() || arrival.username.is_empty() {
        return Err(failed("the user has no id, email or username".to_owned()));
    }
    Ok(arrival)
}

fn token(agent: &ureq::Agent, of: &Provider, code: &str, uri: &str) -> Result<String, Failure> {
    let failed = |detail: String| Failure {
        message: "Bad response from token request.",
        detail,
    };
    let form = Serializer::new(String::new())
        .append_pair("client_id", &of.id)
        .append_pair("client_secret", &of.secret)
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", uri)
        .finish();
    let mut answer = agent
        .post(&of.token_endpoint)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "application/json")
        .send(&form)
        .map_err(|error| failed(format!("{}: {error}", of.token_endpoint)))?;
    let status = answer.status();
    let body: Value = answer
        .body_mut()
        .read_to_string()
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let bearer = body["token_type"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    match body["access_token"].as_str() {
        Some(token) if status == 200 && bearer && !token.is_empty() => Ok(token.to_owned()),
        _ => {
            let error = body["error"].as_str().unwrap_or("no token");
            Err(failed(format!("{}: {status}: {error}", of.token_endpoint)))
        }
    }
}

fn agent() -> ureq::Agent {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots.iter().map(|it| Certificate::from_der(it).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider);
    ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent("Mattermost-Standin")
        .tls_config(tls.build())
        .build()
        .new_agent()
}
