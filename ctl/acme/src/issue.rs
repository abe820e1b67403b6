//! Obtains one certificate: the order, the answers to the challenges, and the issued chain.

use std::time::Duration;

use client::{Error, Kind, render::shown_foreign};
use instant_acme::{
    AuthorizationStatus, ChallengeType, Identifier, NewOrder, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::{
    Order,
    account::{self, Known},
    answers::Answers,
    authority,
};

/// How long the authority is polled for the outcome.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// The issued certificate.
pub(super) struct Issued {
    /// The certificate with its chain, PEM.
    pub(super) chain: String,
    /// The certificate's key, PEM.
    pub(super) key: String,
}

/// Obtains a certificate.
pub(super) async fn issue(
    order: &Order,
    known: Option<Known>,
    say: &dyn Fn(&str),
) -> Result<Issued, Error> {
    let had_account = known.is_some();
    let (mut account, mut known) = account::open(order, known).await?;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: instant_acme::Error| authority::failure(&what, order, &error)
    };
    let identifiers: Vec<Identifier> = order.hosts.iter().map(|host| identifier(host)).collect();
    let wanted = NewOrder::new(&identifiers);
    let mut new = account.new_order(&wanted).await;
    if had_account && new.as_ref().is_err_and(authority::is_forgotten) {
        say("the authority does not know our account any more: makes another");
        (account, known) = account::open(order, None).await?;
        new = account.new_order(&wanted).await;
    }
    let mut asked = new.map_err(failed("the authority does not take the order"))?;
    let mut answers = Answers::open(&order.wwwroot)?;
    answer(order, &mut asked, &mut answers, say).await?;
    let ready = asked.poll_ready(&PATIENCE).await;
    match ready {
        Ok(OrderStatus::Ready) => {}
        // The challenge of the refused host holds the reason.
        Ok(_) => return Err(refused(order, &mut asked, None).await),
        Err(instant_acme::Error::Api(problem)) => {
            return Err(refused(order, &mut asked, Some(&problem)).await);
        }
        Err(error) => return Err(failed("the authority has not come to an end")(error)),
    }
    drop(answers);
    let key = key(order)?;
    let mut params =
        CertificateParams::new(order.hosts.clone()).map_err(|error| made("request", &error))?;
    params.distinguished_name = DistinguishedName::new();
    let request = params
        .serialize_request(&key)
        .map_err(|error| made("request", &error))?;
    let what = "the authority gives no certificate";
    asked
        .finalize_csr(request.der())
        .await
        .map_err(failed(what))?;
    let chain = asked
        .poll_certificate(&PATIENCE)
        .await
        .map_err(failed(what))?;
    account::issued(order, known)?;
    let key = key.serialize_pem();
    Ok(Issued { chain, key })
}

/// Lays out what the authority is to find, and lets it look.
async fn answer(
    order: &Order,
    asked: &mut instant_acme::Order,
    answers: &mut Answers,
    say: &dyn Fn(&str),
) -> Result<(), Error> {
    let failed = |error: instant_acme::Error| {
        authority::failure("the authority cannot be answered", order, &error)
    };
    let ours: Vec<String> = order.hosts.iter().map(|host| named(host)).collect();
    let mut seen = 0;
    let mut authorizations = asked.authorizations();
    while let Some(found) = authorizations.next().await {
        let mut found = found.map_err(failed)?;
        seen += 1;
        let host = found.identifier().to_string();
        if seen > ours.len() || !ours.iter().any(|it| it.eq_ignore_ascii_case(&host)) {
            let message = "the authority asks for something else than the hosts of the order";
            return Err(Error::new(Kind::Failed, message));
        }
        match found.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            other => {
                let message = format!("the authority says of {host}: {other:?}");
                return Err(Error::new(Kind::Failed, message));
            }
        }
        let Some(mut challenge) = found.challenge(ChallengeType::Http01) else {
            let message = format!("the authority does not ask for {host} by HTTP");
            return Err(Error::new(Kind::Failed, message));
        };
        answers.lay_out(&challenge.token, challenge.key_authorization().as_str())?;
        say(&format!("the authority looks whether {host} is ours"));
        challenge.set_ready().await.map_err(failed)?;
    }
    Ok(())
}

/// Why the authority does not believe that the hosts are ours. `whole`: its problem with the whole
/// order, which is a hint unless it is the problem of a host too.
async fn refused(order: &Order, asked: &mut instant_acme::Order, whole: Option<&Problem>) -> Error {
    let mut error = Error::new(Kind::Failed, "");
    let mut said = Vec::new();
    let mut whole = whole;
    let mut authorizations = asked.authorizations();
    while let Some(Ok(mut found)) = authorizations.next().await {
        if said.len() >= order.hosts.len() {
            break;
        }
        let host = shown_foreign(&found.identifier().to_string());
        let Ok(state) = found.refresh().await else {
            continue;
        };
        let problems = state.challenges.iter().filter_map(|it| it.error.as_ref());
        for problem in problems.take(authority::PROBLEMS_MAX) {
            said.push(format!("{host}: {}", authority::words(problem)));
            error = authority::hints(error, order, problem);
            whole = whole.filter(|it| !authority::is_same(it, problem));
        }
    }
    if said.is_empty() {
        said.push("it gives no reason".to_owned());
    }
    error.hints.dedup();
    error.message = format!(
        "the authority could not see that this host is ours: {}",
        said.join("; ")
    );
    match whole {
        Some(problem) => error.hint(authority::words(problem)),
        None => error,
    }
}

/// A host as the authority names it.
fn named(host: &str) -> String {
    identifier(host).authorized(false).to_string()
}

fn identifier(host: &str) -> Identifier {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse()
        .map_or_else(|_| Identifier::Dns(host.to_owned()), Identifier::Ip)
}

fn key(order: &Order) -> Result<KeyPair, Error> {
    let algorithm = match order.key_type.as_str() {
        "ecdsa384" => &rcgen::PKCS_ECDSA_P384_SHA384,
        _ => &rcgen::PKCS_ECDSA_P256_SHA256,
    };
    KeyPair::generate_for(algorithm).map_err(|error| made("key", &error))
}

fn made(what: &str, error: &rcgen::Error) -> Error {
    Error::new(Kind::Failed, format!("cannot make a {what}: {error}"))
}
