//! Mattermost's database on the other host.

use mattervisor_tests::{Site, StatusExt, need, postgres, run};

use super::{
    browser::Browser,
    hosts::{GITLAB, GitlabHost, MattermostHost, network},
};

const PASSWORD: &str = "of-the-role";

/// Runs a query as PostgreSQL's superuser, over the socket.
pub(super) fn sql(site: &Site, database: &str, query: &str) -> String {
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(postgres().unwrap().join("psql")).arg("-h");
    command.arg(site.path("run/mattervisor/postgresql"));
    command.args(["-U", "postgres", "-d", database, "-Atc", query]);
    run(&mut command).ok().stdout.trim().to_owned()
}

/// PostgreSQL on the other host lets this host in with a password, and no part of PostgreSQL runs
/// here. A database that is away for a while does not cause a restart of Mattermost.
#[test]
fn the_database_may_be_on_the_other_host() {
    let network = need!(network());
    let mut gitlab = GitlabHost::new(network.first(), None);
    let client = network.second().address();
    gitlab.site_file(&format!(
        r#"
            postgresql.enable = true
            postgresql.shared_buffers = "16MB"
            postgresql.listen_address = "0.0.0.0"
            postgresql.md5_auth_cidr_addresses = ["{client}/32"]
        "#
    ));
    gitlab.start(&["postgresql"]);
    let role = format!("CREATE ROLE mattermost LOGIN PASSWORD '{PASSWORD}'");
    sql(&gitlab.site, "postgres", &role);
    let database = "CREATE DATABASE mattermost_production OWNER mattermost";
    sql(&gitlab.site, "postgres", database);

    let mut mattermost = MattermostHost::new(network.second(), None);
    mattermost.site_file(
        "",
        &format!(
            r#"
                postgresql.enable = false
                mattermost.sql_data_source = "postgres://mattermost:{PASSWORD}@{GITLAB}:5432/mattermost_production?sslmode=disable"
            "#
        ),
    );
    mattermost
        .site
        .service("mattermost", "health.interval = '100ms'\n");
    mattermost.start(&["mattermost", "nginx"]);
    let query = "select count(*) from standin_starts";
    assert_eq!(sql(&gitlab.site, "mattermost_production", query), "1");
    let status = mattermost.site.status();
    for name in ["postgresql", "postgresql-setup", "mattermost-database"] {
        assert!(!status.service(name).enabled, "{name}");
    }
    assert_eq!(network.second().ports(), [80, 8065]);
    for directory in [
        "run/mattervisor/postgresql",
        "var/lib/mattervisor/postgresql",
    ] {
        assert!(!mattermost.site.path(directory).exists(), "{directory}");
    }
    let page = Browser::new(network.first(), None).get(&format!("{}/", mattermost.url));
    assert_eq!(page.status, 200, "{page:?}");
    let said = mattermost.site.ctl(&["show-config"]).ok().both();
    assert!(!said.contains(PASSWORD), "{said}");

    // Another host does not get in, even with the same password.
    let mut stranger = network.first().command(postgres().unwrap().join("psql"));
    stranger.env("PGPASSWORD", PASSWORD);
    let url = format!("host={GITLAB} user=mattermost dbname=mattermost_production");
    let refused = run(stranger.args([url.as_str(), "-Atc", "select 1"]));
    assert!(refused.both().contains("pg_hba.conf"), "{}", refused.both());

    let pid = status.pid("mattermost");
    gitlab.site.ctl(&["stop", "postgresql"]).ok();
    mattermost.site.wait_for("it is degraded", |status| {
        status.service("mattermost").healthy == Some(false)
    });
    gitlab.site.ctl(&["start", "postgresql"]).ok();
    mattermost.site.wait_for("it is well again", |status| {
        status.service("mattermost").healthy == Some(true)
    });
    assert_eq!(mattermost.site.status().pid("mattermost"), pid);
}
