//! Two services on one address: the second to start would not come up.

use std::collections::BTreeMap;

use crate::{
    check::graph::place,
    declare::schema::Schema,
    model::Service,
    read::ident::ident,
    report::{place::Place, problem::Report},
    site::values::Site,
};

/// Compares the addresses of all services that run here. An address of all interfaces is in the
/// way of every one with its port, in its family: whether IPv6 takes IPv4 along is the program's
/// own choice.
pub(crate) fn check(
    services: &BTreeMap<String, Service>,
    schema: &Schema,
    site: &Site,
    report: &mut Report,
) {
    let mut by_port: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, service) in services.iter().filter(|(_, service)| service.enabled) {
        for address in &service.listens {
            let Some((host, port)) = address.rsplit_once(':') else {
                continue;
            };
            let others = by_port.entry(port).or_default();
            let other = others
                .iter()
                .find(|(other, theirs)| other != name && meet(host, theirs));
            if let Some((other, theirs)) = other {
                let (at, key) = said(&[name, other], port, site).unwrap_or_else(|| {
                    (
                        place(&schema.services[name], "listens", address),
                        "listens".to_owned(),
                    )
                });
                report
                    .error(
                        &at,
                        key,
                        format!("`{name}` listens on {address}, but `{other}` has {theirs}:{port} already"),
                    )
                    .hint("give one of the two another port");
            }
            others.push((name, host));
        }
    }
}

/// Where the site file gives one of the services this port.
fn said(names: &[&str], port: &str, site: &Site) -> Option<(Place, String)> {
    names.iter().find_map(|name| {
        let mut own = site
            .settings
            .iter()
            .filter(|((namespace, _), _)| *namespace == ident(name));
        let ((_, key), given) = own.find(|(_, given)| given.value.text() == port)?;
        Some((given.at.clone(), format!("{name}.{key}")))
    })
}

/// Two addresses that cannot be bound at once, whoever wants to. `[::]` may take IPv4 along.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let both = one.rsplit_once(':').zip(other.rsplit_once(':'));
    both.is_some_and(|((one, port), (other, other_port))| {
        port == other_port && (meet(one, other) || one == "[::]" || other == "[::]")
    })
}

/// The host of an address, one word for each.
fn plain_host(host: &str) -> &str {
    match host {
        "localhost" => "127.0.0.1",
        "*" => "0.0.0.0",
        other => other,
    }
}

fn meet(one: &str, other: &str) -> bool {
    let (one, other) = (plain_host(one), plain_host(other));
    let all = |host| matches!(host, "0.0.0.0" | "[::]");
    let same_family = one.starts_with('[') == other.starts_with('[');
    one == other || (same_family && (all(one) || all(other)))
}

#[cfg(test)]
mod tests {
    use super::{meet, overlap};

    #[test]
    fn what_overlaps_has_one_port_and_may_be_of_two_families() {
        assert!(overlap("0.0.0.0:80", "127.0.0.1:80") && overlap("[::]:80", "10.0.0.1:80"));
        assert!(!overlap("0.0.0.0:80", "127.0.0.1:81") && !overlap("[::1]:80", "0.0.0.0:80"));
    }

    #[test]
    fn addresses_meet_where_one_is_of_all_interfaces() {
        assert!(meet("127.0.0.1", "127.0.0.1") && meet("localhost", "127.0.0.1"));
        assert!(meet("0.0.0.0", "127.0.0.1") && meet("[::1]", "[::]") && meet("*", "10.0.0.1"));
        assert!(!meet("127.0.0.1", "127.0.0.2") && !meet("[::]", "127.0.0.1"));
    }
}
