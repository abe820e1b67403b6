//! Steps that remain to be done by hand after an import, in order.

use std::path::Path;

use super::{
    database::{Database, PORT},
    draft::Draft,
    known::Known,
    package::{PATHS, Package, host},
    ruby::Value,
};

/// Directory of certificates that GitLab's administrator added.
const TRUSTED: &str = "etc/gitlab/trusted-certs";
/// Default directory of Mattermost's files.
const HOME: &str = "/var/lib/mattervisor/mattermost";

/// The steps after this draft; empty if there is no Mattermost to move.
pub(super) fn steps(package: &Package<'_>, root: &Path, draft: &Draft) -> Vec<String> {
    if !package.had_mattermost() {
        return Vec::new();
    }
    let own = std::fs::read_dir(root.join(TRUSTED));
    let own = own.is_ok_and(|mut it| it.next().is_some());
    let steps = [
        switch(draft),
        gitlab(package),
        database(package),
        Some(files(package, draft)),
        certificate(package, draft),
        own.then(|| "authorities of your own are in /etc/gitlab/trusted-certs: Mattermost takes the system's here, so add them to /usr/local/share/ca-certificates and run update-ca-certificates".to_owned()),
        sign_in(package),
        Some("ctl check-config, then ctl reconfigure".to_owned()),
    ];
    steps.into_iter().flatten().collect()
}

/// The step that turns Mattermost on, if the draft keeps Mattermost off.
fn switch(draft: &Draft) -> Option<String> {
    let off = draft.get(&["mattermost", "enable"]);
    if off.is_some_and(|it| it.value.as_bool() == Some(false)) {
        return Some(
            "Mattermost was off in GitLab's package, and is off here: remove mattermost.enable = false when it is to run"
                .to_owned(),
        );
    }
    let on = off.is_some() || draft.has(&["mattermost_external_url"]);
    (!on).then(|| {
        "where users reach Mattermost is yours to say: set mattermost_external_url, without which nothing of it runs"
            .to_owned()
    })
}

fn gitlab(package: &Package<'_>) -> Option<String> {
    if package.stays() {
        return Some(
            "GitLab stays on this machine, and its nginx has the ports: `ctl gitlab vhost` writes Mattermost's site for it. If Mattermost moves to a machine of its own, remove mattermost_nginx.enable = false"
                .to_owned(),
        );
    }
    package.installed.then(|| {
        "GitLab's package is on this machine: end it before the supervisor starts, since both want the same ports (gitlab-ctl stop; systemctl disable --now gitlab-runsvdir)"
            .to_owned()
    })
}

fn database(package: &Package<'_>) -> Option<String> {
    match package.database() {
        Database::Elsewhere(_) => None,
        Database::Undecided(_) => Some(
            "which database Mattermost had is yours to say, see above: ctl check-config refuses the site file until then"
                .to_owned(),
        ),
        Database::Bundled { user, name } => {
            let place = package.socket_dir().set();
            let place = place.as_deref().and_then(plain);
            let port = package.port().set().unwrap_or_default();
            let port = match plain(&port) {
                Some(PORT) => String::new(),
                Some(port) => format!(" -p {port}"),
                None => " -p PORT".to_owned(),
            };
            Some(format!(
                "the database: sudo -i -u gitlab-psql -- /opt/gitlab/embedded/bin/pg_dump -h {}{port} {} | gzip > mattermost.sql.gz on GitLab's machine; it goes into the PostgreSQL here, where role {} and database {} keep their names (docs/migrate.md)",
                place.unwrap_or("DIRECTORY"),
                plain(&name).unwrap_or("DATABASE"),
                plain(&user).unwrap_or("ROLE"),
                plain(&name).unwrap_or("DATABASE"),
            ))
        }
    }
}

/// The word, if a shell takes it literally: people paste the steps into a shell.
fn plain(word: &str) -> Option<&str> {
    let safe = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '/');
    (!word.is_empty() && !word.starts_with('-') && word.chars().all(safe)).then_some(word)
}

/// The step that copies each file and directory to its place here.
fn files(package: &Package<'_>, draft: &Draft) -> String {
    let environment = package.environment();
    let here = |key: &str| {
        let entry = draft.get(&["mattermost", key]);
        entry.and_then(|it| it.value.as_str()).map(str::to_owned)
    };
    let home = here("home").unwrap_or_else(|| HOME.to_owned());
    let (mut moves, mut stays) = (Vec::new(), Vec::new());
    for (key, end) in [
        ("home", "config.json"),
        ("file_directory", "data"),
        ("plugin_directory", "plugins"),
        ("plugin_client_directory", "client-plugins"),
    ] {
        let Some((_, variable, default)) = PATHS.iter().find(|it| it.0 == key) else {
            continue;
        };
        let was = if variable.is_empty() {
            package.text("mattermost", key).not_empty()
        } else {
            environment
                .get(variable)
                .or(|| package.mattermost(key).not_empty())
        };
        let was = match was {
            Known::Set(path) => path,
            Known::Unset => (*default).to_owned(),
            Known::Unknown(_) => format!("mattermost['{key}']"),
        };
        let was = was.trim_end_matches('/');
        let (from, to) = if key == "home" {
            (format!("{was}/{end}"), format!("{home}/{end}"))
        } else {
            let to = here(key).unwrap_or_else(|| format!("{home}/{end}"));
            (was.to_owned(), to)
        };
        if from == to.trim_end_matches('/') {
            stays.push(from);
        } else {
            moves.push(format!("{from} to {to}"));
        }
    }
    let mut parts = Vec::new();
    if !moves.is_empty() {
        parts.push(format!("copy {}", moves.join(", ")));
    }
    if !stays.is_empty() {
        parts.push(format!("in place already: {}", stays.join(", ")));
    }
    format!(
        "the files: {}; config.json has the settings of the System Console (docs/migrate.md)",
        parts.join("; ")
    )
}

fn certificate(package: &Package<'_>, draft: &Draft) -> Option<String> {
    let own_nginx = draft
        .get(&["mattermost_nginx", "enable"])
        .is_none_or(|it| it.value.as_bool() != Some(false));
    let url = draft.get(&["mattermost_external_url"])?.value.as_str()?;
    let lacks = url.starts_with("https://")
        && own_nginx
        && package.said("letsencrypt", "enable") != Known::Set(&Value::Bool(true))
        && !draft.has(&["mattermost_nginx", "ssl_certificate"]);
    lacks.then(|| {
        let host = host(url).unwrap_or_default();
        format!(
            "the certificate: cp /etc/gitlab/ssl/{host}.crt /etc/gitlab/ssl/{host}.key /etc/mattervisor/ssl/"
        )
    })
}

fn sign_in(package: &Package<'_>) -> Option<String> {
    let on = package.environment().get("MM_GITLABSETTINGS_ENABLE");
    (on == Known::Set("true".to_owned())).then(|| {
        "signing in with GitLab left Mattermost's free edition with version 11: 10.11 has it, and is the last that GitLab's package had"
            .to_owned()
    })
}
