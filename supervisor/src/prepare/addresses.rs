//! The addresses that a service listens on: as its service file has them, and what they stand for.
//!
//! A name is looked up at each start, and no longer than [`LOOK_UP_MS_MAX`]; a start does not fail
//! because of a name that nobody answers for.

use std::{net::SocketAddr, time::Duration};

use plan::Service;
use tokio::time::Instant;

use crate::host_names::HostNames;

/// Longest wait for the names in a service's `listens`, in milliseconds.
const LOOK_UP_MS_MAX: u64 = 10_000;

/// An address that a service listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// As the service file has it.
    pub(crate) said: String,
    /// Addresses of the name; empty: the name was not looked up, or has no address.
    pub(crate) at: Vec<SocketAddr>,
}

impl Address {
    /// Addresses of `said` without a look-up; a name gives none.
    pub(crate) fn literal(said: &str) -> Self {
        let plain = match said.strip_prefix("*:") {
            Some(port) => format!("0.0.0.0:{port}"),
            None => said.to_owned(),
        };
        Self {
            said: said.to_owned(),
            at: plain.parse().into_iter().collect(),
        }
    }

    /// Two that one machine cannot serve both: the same port, and one of them or both of all hosts.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let meet = |one: &SocketAddr, two: &SocketAddr| {
            let all = one.ip().is_unspecified() || two.ip().is_unspecified();
            one.port() == two.port() && (all || one.ip() == two.ip())
        };
        let mut ours = self.at.iter();
        ours.any(|one| other.at.iter().any(|two| meet(one, two)))
    }
}

/// Whether its addresses cannot be told without a look-up.
pub(crate) fn has_names(service: &Service) -> bool {
    let mut listens = service.listens.iter();
    listens.any(|said| Address::literal(said).at.is_empty())
}

/// The addresses of a service, without a look-up of names.
pub(super) fn literals(service: &Service) -> Vec<Address> {
    let listens = service.listens.iter();
    listens.map(|said| Address::literal(said)).collect()
}

/// All addresses of a service, names looked up.
pub(super) async fn addresses(service: &Service, names: &HostNames) -> Vec<Address> {
    let by = Instant::now() + Duration::from_millis(LOOK_UP_MS_MAX);
    let mut found = literals(service);
    for address in found.iter_mut().filter(|it| it.at.is_empty()) {
        match tokio::time::timeout_at(by, look_up(&address.said, names)).await {
            Ok(Ok(at)) => address.at = at,
            Ok(Err(why)) => not_checked(service, address, &why),
            Err(_) => not_checked(service, address, "nobody answers in time"),
        }
    }
    found
}

fn not_checked(service: &Service, address: &Address, why: &str) {
    tracing::warn!(
        service = service.name,
        "starts without a look at whether {} is free, which cannot be looked up: {why}",
        address.said
    );
}

/// Addresses of a name and its port.
async fn look_up(said: &str, names: &HostNames) -> Result<Vec<SocketAddr>, String> {
    let host_and_port = said.rsplit_once(':');
    let host_and_port = host_and_port.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = host_and_port.ok_or("it is not HOST:PORT")?;
    let found = names.addresses(host).await?;
    Ok(found
        .into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_addresses_need_no_look_up_and_meet_as_the_kernel_has_it() {
        let literal = |said: &str| Address::literal(said);
        assert!(literal("localhost:80").at.is_empty());
        assert!(literal("*:80").meets(&literal("127.0.0.1:80")));
        assert!(literal("[::]:80").meets(&literal("127.0.0.1:80")));
        assert!(!literal("127.0.0.1:80").meets(&literal("127.0.0.2:80")));
        assert!(!literal("127.0.0.1:80").meets(&literal("127.0.0.1:81")));
        assert!(!literal("localhost:80").meets(&literal("localhost:80")));
    }
}
