//! Requests to the authority, and the errors that it answers.
//!
//! Invariant: text of the authority is cut and escaped before it is shown. An authority with an
//! HTTPS address is asked by HTTPS alone, wherever its answers point to.
//!
//! Limits: [`REQUEST_MAX`] a request, [`ANSWER_BYTES_MAX`] an answer, [`PROBLEMS_MAX`] texts of one
//! answer that are shown.

use std::{future::Future, pin::Pin, time::Duration};

use client::{Error, Kind, render::shown_foreign as shown};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use instant_acme::{
    Account, AccountBuilder, BodyWrapper, BytesResponse, Error as Acme, HttpClient, Problem,
    Subproblem,
};
use ureq::http::{Request, Response};

use super::Order;

/// Longest time of one request, name lookup and connection included.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Largest answer: a chain of certificates.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Most parts of a problem that are shown.
pub(super) const PROBLEMS_MAX: usize = 10;

/// Adapts our HTTP client to the ACME library.
struct Client {
    agent: ureq::Agent,
    /// Whether plain HTTP is refused.
    https_only: bool,
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Acme>> + Send>> {
        let agent = self.agent.clone();
        let plain = request.uri().scheme_str() != Some("https");
        if self.https_only && plain {
            let error = Acme::Str("an address by HTTPS: the authority gives another one");
            return Box::pin(std::future::ready(Err(error)));
        }
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // The body is in memory, so this does not wait.
            let body = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes);
            let body = body.unwrap_or_default();
            let other = |error: ureq::Error| Acme::Other(Box::new(error));
            // Nothing else runs on this runtime, so the call may block.
            let answer = agent
                .run(Request::from_parts(parts, &body[..]))
                .map_err(other)?;
            let (parts, mut body) = answer.into_parts();
            let body = body
                .with_config()
                .limit(ANSWER_BYTES_MAX)
                .read_to_vec()
                .map_err(other)?;
            Ok(Response::from_parts(parts, Full::new(Bytes::from(body))).into())
        })
    }
}

/// How accounts are opened.
pub(super) fn builder(order: &Order) -> Result<AccountBuilder, Error> {
    let roots = https::roots(order.ca_file.as_deref())?;
    let client = Client {
        agent: https::agent(roots, REQUEST_MAX),
        https_only: order.directory.starts_with("https://"),
    };
    Ok(Account::builder_with_http(Box::new(client)))
}

/// The error with the authority's own words, and advice.
pub(super) fn failure(what: &str, order: &Order, error: &Acme) -> Error {
    if let Acme::Api(problem) = error {
        let said = words(problem);
        return hints(
            Error::new(Kind::Failed, format!("{what}: {said}")),
            order,
            problem,
        );
    }
    let why = match error {
        Acme::Other(inner) => {
            format!(
                "{} cannot be asked: {}",
                order.directory,
                shown(&inner.to_string())
            )
        }
        Acme::Timeout(_) => {
            "the authority takes too long; the next attempt goes on from here".to_owned()
        }
        Acme::Json(_) => format!("{} does not answer as an authority does", order.directory),
        other => shown(&other.to_string()),
    };
    Error::new(Kind::Failed, format!("{what}: {why}"))
        .hint("may this host reach it? letsencrypt.acme_directory and letsencrypt.acme_ca_file say which one it is and how it is known")
}

/// The authority's problem in words, with all its parts.
pub(super) fn words(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.rsplit(':').next().unwrap_or_default();
    let mut said = vec![
        problem
            .detail
            .clone()
            .unwrap_or_else(|| "it gives no reason".to_owned()),
    ];
    for part in problem.subproblems.iter().take(PROBLEMS_MAX) {
        let name = part
            .identifier
            .as_ref()
            .map(|it| format!("{}: ", it.authorized(false)));
        let detail = part.detail.clone().unwrap_or_default();
        said.push(format!("{}{detail}", name.unwrap_or_default()));
    }
    let said: Vec<String> = said.iter().map(|text| shown(text)).collect();
    let said = said.join("; ");
    if kind.is_empty() {
        said
    } else {
        format!("{said} ({})", shown(kind))
    }
}

/// Whether two problems are the same.
pub(super) fn is_same(one: &Problem, two: &Problem) -> bool {
    let part = |it: &Subproblem| {
        let host = it.identifier.as_ref();
        let host = host.map(|it| it.authorized(false).to_string());
        (host, it.r#type.clone(), it.detail.clone())
    };
    let parts = |it: &Problem| it.subproblems.iter().map(part).collect::<Vec<_>>();
    one.r#type == two.r#type && one.detail == two.detail && parts(one) == parts(two)
}

/// Whether the authority does not know the account.
pub(super) fn is_forgotten(error: &Acme) -> bool {
    let Acme::Api(problem) = error else {
        return false;
    };
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.ends_with(":accountDoesNotExist")
}

/// Adds advice for the authority's problem.
pub(super) fn hints(error: Error, order: &Order, problem: &Problem) -> Error {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let hosts = order.hosts.join(", ");
    match kind.rsplit(':').next().unwrap_or_default() {
        "rateLimited" => error
            .hint("it counts certificates and failures by host and week: wait as long as it says")
            .hint("for trials: letsencrypt.acme_directory = \"https://acme-staging-v02.api.letsencrypt.org/directory\""),
        "dns" => error.hint(format!("does {hosts} lead to this host in DNS, for the whole world? dig +short {hosts}")),
        "connection" => error
            .hint(format!("the authority came for http://{hosts}/.well-known/acme-challenge/… on port 80 and was not let in"))
            .hint("is port 80 open in every firewall on the way, and does the name lead here?"),
        "unauthorized" | "incorrectResponse" => error
            .hint("somebody else answered in our place: does the name lead to this host and not to another, and does its port 80 reach nginx here?"),
        "caa" => error.hint("a CAA record in DNS lets only other authorities give certificates for this name"),
        "rejectedIdentifier" => error.hint("the authority gives no certificates for this name at all"),
        "invalidContact" | "unsupportedContact" => error.hint("mend letsencrypt.contact_emails"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_known_again_by_all_its_parts_and_not_by_its_words() {
        let of = |detail: &str, part: &str| -> Problem {
            let part = json!({"identifier": {"type": "dns", "value": part}, "detail": "no"});
            let problem = json!({"type": "urn:x:dns", "detail": detail, "subproblems": [part]});
            serde_json::from_value(problem).unwrap()
        };
        let problem = of("no address", "a.example");
        assert!(is_same(&problem, &of("no address", "a.example")));
        assert!(!is_same(&problem, &of("no address", "b.example")));
        assert!(!is_same(&problem, &of("there is no address", "a.example")));
    }
}
