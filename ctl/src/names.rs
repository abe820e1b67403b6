//! Which services a list of names means, where ctl has to know it itself (status, wait): exact
//! names, shell patterns, none for all. What it cannot find it lets the server judge, so that the
//! message about an unknown name is the same everywhere.

use api::ServiceStatus;

use crate::{
    client::{Client, escaped},
    error::{Error, Kind},
};

/// Picks the named services, each once, in the order asked; no names pick all.
pub(crate) async fn select(
    client: &Client,
    all: Vec<ServiceStatus>,
    names: &[String],
) -> Result<Vec<ServiceStatus>, Error> {
    if names.is_empty() {
        return Ok(all);
    }
    let mut picked: Vec<ServiceStatus> = Vec::new();
    for name in names {
        let mut found: Vec<ServiceStatus> = all
            .iter()
            .filter(|service| matches(name, &service.name))
            .cloned()
            .collect();
        if found.is_empty() {
            found.push(unknown(client, name).await?);
        }
        found.retain(|service| picked.iter().all(|other| other.name != service.name));
        picked.append(&mut found);
    }
    Ok(picked)
}

/// Whether a name is a pattern for several.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn matches(asked: &str, name: &str) -> bool {
    asked == name
        || is_pattern(asked) && glob::Pattern::new(asked).is_ok_and(|pattern| pattern.matches(name))
}

/// The server's word on a name that is not in its list (or has just come into it).
async fn unknown(client: &Client, name: &str) -> Result<ServiceStatus, Error> {
    if is_pattern(name) {
        return Err(
            Error::new(Kind::UnknownService, format!("no service matches `{name}`"))
                .hint("`ctl service-list` shows all names"),
        );
    }
    client.get(&format!("/v1/services/{}", escaped(name))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_name() {
        assert!(matches("mattermost*", "mattermost-database"));
        assert!(matches("nginx", "nginx"));
        assert!(!matches("ngin", "nginx"));
        assert!(!matches("ngin?", "nginxx"));
        assert!(!matches("[", "nginx"));
    }
}
