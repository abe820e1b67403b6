//! What remains to be done by hand after an import, in order.

use std::path::Path;

use super::{
    package::{DATABASE, Database, Package, SOCKET_DIR, SQL_USER, host},
    ruby::Value,
};

/// Certificates that GitLab's administrator added.
const TRUSTED: &str = "etc/gitlab/trusted-certs";

/// The steps. `own_nginx`: nginx runs here, for Mattermost.
pub(super) fn steps(package: &Package<'_>, root: &Path, own_nginx: bool) -> Vec<String> {
    let mut steps = Vec::new();
    let url = package.text("", "mattermost_external_url");
    if url.is_none() {
        // Nothing of Mattermost is there to move.
        return steps;
    }
    if package.stays() {
        steps.push(
            "GitLab stays on this machine, and its nginx has the ports: `ctl gitlab vhost` writes Mattermost's site for it. If Mattermost moves to a machine of its own, remove mattermost_nginx.enable = false"
                .to_owned(),
        );
    } else if package.installed {
        steps.push(
            "GitLab's package is on this machine: end it before the supervisor starts, since both want the same ports (gitlab-ctl stop; systemctl disable --now gitlab-runsvdir)"
                .to_owned(),
        );
    }
    match package.database() {
        Database::Bundled { user, name } => {
            let (user, name) = (plain(&user, SQL_USER), plain(&name, DATABASE));
            steps.push(format!(
                "the database: sudo -i -u gitlab-psql -- /opt/gitlab/embedded/bin/pg_dump -h {SOCKET_DIR} {name} | gzip > mattermost.sql.gz on GitLab's machine; it goes into the PostgreSQL here, where role {user} and database {name} keep their names (docs/migrate.md)"
            ));
        }
        Database::Elsewhere(_) => {}
    }
    steps.push(
        "the files: data, plugins, client-plugins and config.json (the settings of the System Console) of /var/opt/gitlab/mattermost go to mattermost.home, which is /var/lib/mattervisor/mattermost unless set (docs/migrate.md)"
            .to_owned(),
    );
    if let Some(url) = url.filter(|it| it.starts_with("https://") && own_nginx)
        && package.said("letsencrypt", "enable") != Some(&Value::Bool(true))
        && package
            .said("mattermost_nginx", "ssl_certificate")
            .is_none()
    {
        let host = host(&url).unwrap_or_default().to_owned();
        steps.push(format!(
            "the certificate: cp /etc/gitlab/ssl/{host}.crt /etc/gitlab/ssl/{host}.key /etc/mattervisor/ssl/"
        ));
    }
    let own = std::fs::read_dir(root.join(TRUSTED));
    if own.is_ok_and(|mut it| it.next().is_some()) {
        steps.push(
            "authorities of your own are in /etc/gitlab/trusted-certs: Mattermost takes the system's here, so add them to /usr/local/share/ca-certificates and run update-ca-certificates"
                .to_owned(),
        );
    }
    let signs_on = package.environment();
    if signs_on.get("MM_GITLABSETTINGS_ENABLE").map(String::as_str) == Some("true") {
        steps.push(
            "signing in with GitLab left Mattermost's free edition with version 11: 10.11 has it, and is the last that GitLab's package had"
                .to_owned(),
        );
    }
    steps.push("ctl check-config, then ctl reconfigure".to_owned());
    steps
}

/// A name that a shell takes as it is; another could be anything.
fn plain<'a>(name: &'a str, default: &'a str) -> &'a str {
    let safe = name
        .chars()
        .all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.'));
    if safe && !name.is_empty() {
        name
    } else {
        default
    }
}
