//! Which services run where: GitLab's services on its host, none of them on Mattermost's.

use std::fs;

use mattervisor_tests::{Network, StatusExt, alive, command_line, need};

use super::{
    browser::Browser,
    database::sql,
    hosts::{GITLAB, GitlabHost, MattermostHost, network},
};

const GITLABS: [&str; 7] = [
    "gitlab",
    "gitlab-nginx",
    "redis",
    "redis-exporter",
    "postgresql",
    "postgres-exporter",
    "node-exporter",
];
const OFF_ON_MATTERMOSTS: [&str; 4] = [
    "redis",
    "redis-exporter",
    "postgres-exporter",
    "node-exporter",
];
/// Services that cannot run here, though a site file may turn them off.
const NO_SERVICES: [&str; 6] = [
    "puma",
    "sidekiq",
    "gitaly",
    "gitlab-kas",
    "grafana",
    "prometheus",
];

fn metrics(network: &Network, port: u16) -> String {
    let browser = Browser::new(network.first(), None);
    let page = browser.get(&format!("http://127.0.0.1:{port}/metrics"));
    assert_eq!(page.status, 200, "{page:?}");
    page.body
}

/// GitLab's host runs redis and the exporters, all of them real. A redis that is turned off and on
/// again still has its data.
#[test]
fn gitlabs_host_runs_redis_and_the_exporters() {
    let network = need!(network());
    let mut gitlab = GitlabHost::new(network.first(), None);
    gitlab.site_file(&GitlabHost::everything(true));
    gitlab.start(&GITLABS);
    let status = gitlab.site.status();
    for name in ["mattermost", "mattermost-database", "nginx"] {
        assert!(!status.service(name).enabled, "{name}");
    }
    assert_eq!(
        network.first().ports(),
        [80, 6379, 8080, 9100, 9121, 9187],
        "GitLab's nginx, redis, GitLab, the exporters; PostgreSQL has a socket alone"
    );
    // A table of the test's own, since nothing else makes tables here.
    let table = "CREATE TABLE counted AS SELECT generate_series(1, 7)";
    sql(&gitlab.site, "postgres", table);
    sql(&gitlab.site, "postgres", "ANALYZE counted");
    let figures = metrics(&network, 9187);
    let mut tables = figures
        .lines()
        .filter(|line| line.starts_with("pg_stat_user_tables_n_live_tup{"));
    let counted = tables.find(|line| line.contains("\"counted\""));
    assert!(
        counted.is_some_and(|line| line.ends_with(" 7")),
        "{figures}"
    );
    assert!(figures.contains("\npg_up 1\n"), "{figures}");
    assert!(figures.contains("pg_stat_database_"), "{figures}");
    assert!(metrics(&network, 9121).contains("\nredis_up 1\n"));
    let machine = metrics(&network, 9100);
    assert!(
        machine.contains("\nnode_memory_MemTotal_bytes "),
        "{machine}"
    );
    let scraped = |name: &str| machine.contains(&format!("{{collector=\"{name}\"}}"));
    assert!(scraped("meminfo") && !scraped("arp"), "{machine}");
    assert_eq!(gitlab.redis(&["set", "kept", "yes"]), "OK");
    // Without the password, redis does not tell the value.
    let mut stranger = std::process::Command::new("redis-cli");
    stranger.arg("-s").arg(&gitlab.redis).args(["get", "kept"]);
    let said = mattervisor_tests::run(&mut stranger);
    assert!(said.both().contains("NOAUTH"), "{}", said.both());
    let lines = gitlab.site.processes().into_iter().map(command_line);
    for line in lines {
        assert!(
            !line.contains("wants"),
            "a password in a command line: {line}"
        );
    }

    let before = status.pid("redis");
    gitlab.site_file(&GitlabHost::everything(false));
    gitlab.site.ctl(&["reconfigure"]).ok();
    assert!(!alive(before));
    assert!(!gitlab.redis.exists(), "its socket is gone");
    assert!(!network.first().ports().contains(&6379));
    assert!(
        gitlab
            .site
            .path("var/lib/mattervisor/redis/dump.rdb")
            .is_file()
    );
    let after = gitlab.site.status();
    for name in GITLABS.iter().filter(|name| **name != "redis") {
        assert_eq!(after.pid(name), status.pid(name), "{name} was bounced");
    }
    gitlab.site_file(&GitlabHost::everything(true));
    gitlab.site.ctl(&["reconfigure"]).ok();
    assert_eq!(gitlab.redis(&["get", "kept"]), "yes");
    assert_eq!(gitlab.site.stop(), 0, "{}", gitlab.site.supervisor_log());
    assert_eq!(gitlab.site.leftovers(), Vec::<String>::new());
    assert!(network.first().ports().is_empty());
}

/// On Mattermost's host no service of GitLab's or for GitLab runs, listens or leaves files, and a
/// request to start redis says how to enable it.
#[test]
fn mattermosts_host_runs_nothing_of_gitlabs() {
    let network = need!(network());
    let mut mattermost = MattermostHost::new(network.second(), None);
    mattermost.site_file("", "");
    mattermost.start(&["postgresql", "mattermost", "nginx"]);
    assert_eq!(network.second().ports(), [80, 8065]);
    let lines: Vec<String> = mattermost
        .site
        .processes()
        .into_iter()
        .map(command_line)
        .collect();
    let status = mattermost.site.status();
    let list = mattermost.site.ctl(&["service-list"]).ok().stdout;
    let shown = mattermost.site.ctl(&["status"]).ok().stdout;
    for name in OFF_ON_MATTERMOSTS {
        assert!(!status.service(name).enabled, "{name}");
        assert!(!lines.iter().any(|line| line.contains(name)), "{lines:?}");
        for directory in ["run", "var/lib", "var/log"] {
            let path = mattermost
                .site
                .path(&format!("{directory}/mattervisor/{name}"));
            assert!(fs::symlink_metadata(&path).is_err(), "{}", path.display());
        }
        let said = list
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let said = said.unwrap_or_else(|| panic!("{name} is not in {list}"));
        assert_eq!(said.split_whitespace().nth(1), Some("no"), "{said}");
        assert!(!shown.contains(name), "{shown}");
        let said = mattermost.site.ctl(&["status", name]).expect_code(3);
        assert!(said.stdout.contains("disabled"), "{}", said.both());
    }
    for name in NO_SERVICES {
        assert!(
            !list.contains(name) && !shown.contains(name),
            "{list}{shown}"
        );
        let said = mattermost.site.ctl(&["status", name]).expect_code(4);
        assert!(said.stdout.is_empty(), "{}", said.both());
    }
    let refused = mattermost.site.ctl(&["start", "redis"]).expect_code(1);
    assert!(
        refused.both().contains("redis is disabled"),
        "{}",
        refused.both()
    );
    assert!(
        refused.both().contains("redis.enable"),
        "{}",
        refused.both()
    );
    // The other host is up, and nothing listens on it.
    let mut curl = network.second().command("curl");
    let nobody = mattervisor_tests::run(curl.args(["-sS", &format!("http://{GITLAB}/")]));
    assert_eq!(nobody.code, 7, "refused, not unknown: {}", nobody.both());
    let page = Browser::new(network.first(), None).get(&format!("{}/", mattermost.url));
    assert_eq!(page.status, 200, "{page:?}");
}
