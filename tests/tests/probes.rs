//! Probes: a liveness probe restarts its service, a health probe only reports.

use std::{net::UdpSocket, path::Path, time::Duration};

use mattervisor_tests::{
    Site, StatusExt, eventually, free_port, need, postgres, run_for, skip, stamps, within,
};

/// A `testchild` that answers HTTP with the status in a file, and a probe of that answer.
fn probed(site: &Site, name: &str, table: &str, more: &str) {
    let port = free_port();
    let answer = site.file(&format!("{name}.answer"));
    std::fs::write(&answer, "200").unwrap_or_else(|error| panic!("{answer}: {error}"));
    let verbs = [
        format!("file={}", site.file(name)),
        format!("http={port}:@{answer}:"),
    ];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    let probe = format!(
        r#"
            [{table}]
            http = "http://127.0.0.1:{port}/"
            status = [200]
            interval = "50ms"
            failures = 3
        "#
    );
    site.child(name, &verbs, &format!("{probe}{more}"));
}

/// Behaviour 36: as many failures in a row as configured restart the service.
#[test]
fn b36_liveness_restarts_after_failures_in_a_row() {
    let mut site = Site::new();
    probed(&site, "a", "liveness", "");
    site.start_ready();
    let pid = site.status().pid("a");
    std::fs::write(site.path("a.answer"), "500").unwrap();
    site.wait_for("a is restarted", |status| status.service("a").restarts >= 1);
    std::fs::write(site.path("a.answer"), "200").unwrap();
    let status = site.wait_reborn("a", pid);
    let exit = status.service("a").last_exit.as_ref().unwrap();
    assert_eq!(exit.signal.as_deref(), Some("TERM"), "it was asked to end");
}

/// A failing health probe is shown as degraded; nothing is restarted, and it recovers by itself.
#[test]
fn health_is_shown_and_restarts_nothing() {
    let mut site = Site::new();
    probed(&site, "a", "health", "");
    site.start_ready();
    let pid = site.status().pid("a");
    site.wait_for("a is healthy", |status| {
        status.service("a").healthy == Some(true)
    });
    std::fs::write(site.path("a.answer"), "500").unwrap();
    let status = site.wait_for("a is degraded", |status| {
        status.service("a").healthy == Some(false)
    });
    assert!(status.ready("a"), "degraded is still up");
    std::fs::write(site.path("a.answer"), "200").unwrap();
    let status = site.wait_for("a is healthy again", |status| {
        status.service("a").healthy == Some(true)
    });
    assert_eq!(status.pid("a"), pid);
    assert_eq!(status.service("a").restarts, 0);
}

/// Behaviour 37: a liveness failure during the delay before a restart restarts nothing twice.
#[test]
fn b37_a_failing_check_during_backoff_does_not_restart_twice() {
    let mut site = Site::new();
    let policy = r#"
        [restart]
        delay = "1h"
        max_delay = "1h"
    "#;
    probed(&site, "a", "liveness", policy);
    site.child("while", &["delay=600"], "type = 'oneshot'");
    site.start_ready();
    site.ctl(&["stop", "while"]).ok();
    std::fs::write(site.path("a.answer"), "500").unwrap();
    site.wait_state("a", "backoff");
    let starts = stamps(&site.path("a")).len();
    site.ctl(&["start", "while"]).ok();
    assert_eq!(stamps(&site.path("a")).len(), starts);
    assert_eq!(site.status().state("a"), "backoff");
}

/// Behaviour 38: failures are counted from zero for each run.
#[test]
fn b38_failures_are_counted_anew_for_each_run() {
    let mut site = Site::new();
    let policy = r#"
        [restart]
        delay = "1ms"
        max_delay = "1ms"
    "#;
    probed(&site, "a", "liveness", policy);
    site.start_ready();
    std::fs::write(site.path("a.answer"), "500").unwrap();
    site.wait_for("three restarts", |status| status.service("a").restarts >= 3);
    let starts = stamps(&site.path("a"));
    for two in starts.windows(2).skip(1) {
        let lived = two[1].at_ns - two[0].at_ns;
        // Three failures have two intervals of 50 ms between them, at least.
        assert!(
            lived >= 100_000_000,
            "a run lived only {} ms: {starts:?}",
            lived / 1_000_000
        );
    }
}

/// An exec probe that hangs is killed with its children, and the next probe runs.
#[test]
fn a_hanging_exec_probe_is_killed_with_its_tree() {
    let mut site = Site::new();
    let (probe, left) = (site.file("probe"), site.file("left"));
    let command = mattervisor_tests::child_command(
        site.root(),
        &[
            &format!("file={probe}"),
            &format!("child={left}"),
            "ignore-term",
            "sleep",
        ],
    );
    let command = command.trim_start_matches("command").trim();
    let ask =
        format!("[health]\nexec {command}\ninterval = \"50ms\"\ntimeout = \"200ms\"\nfailures = 2");
    site.child("a", &["sleep"], &ask);
    site.start_ready();
    site.wait_for("a is degraded", |status| {
        status.service("a").healthy == Some(false)
    });
    let probes = stamps(probe.as_ref());
    assert!(probes.len() >= 2);
    for two in probes.windows(2) {
        assert!(
            two[1].at_ns - two[0].at_ns >= 200_000_000,
            "probes overlap: {probes:?}"
        );
    }
    let first: i32 = mattervisor_tests::lines(left.as_ref())[0].parse().unwrap();
    eventually("the probe's child is gone", || {
        (!mattervisor_tests::alive(first)).then_some(())
    });
    assert!(site.status().ready("a"));
}

/// Probes of names that do not resolve delay neither other probes nor commands.
#[test]
fn names_that_do_not_resolve_starve_nobody() {
    if !nix::unistd::geteuid().is_root() {
        skip!("a name server of its own needs root");
    }
    let mut site = Site::new();
    // A name server that receives every query, and answers none.
    let number = std::process::id();
    let address = format!("127.66.{}.{}", number / 250 % 250, number % 250 + 1);
    let _silent = UdpSocket::bind((address.as_str(), 53)).unwrap();
    let resolver = site.file("resolv.conf");
    std::fs::write(&resolver, format!("nameserver {address}\n")).unwrap();
    let mount = format!("mount --bind {resolver} /etc/resolv.conf && exec \"$@\"");
    site.behind(&["unshare", "-m", "sh", "-c", &mount, "sh"]);
    let probe = |host: &str, port: u16| {
        format!(
            r#"
                [health]
                tcp = "{host}:{port}"
                interval = "50ms"
                timeout = "50ms"
                failures = 2
            "#
        )
    };
    for number in 0..8 {
        let host = format!("host{number}.example.org");
        site.child(&format!("lost{number}"), &["sleep"], &probe(&host, 80));
    }
    let port = free_port();
    let verbs = [format!("http={port}:200:")];
    let answering = format!(
        "{}timeout = '10s'\n",
        probe("localhost", port).replace("timeout = \"50ms\"\n", "")
    );
    site.child("good", &[&verbs[0]], &answering);
    site.start_ready();
    let asked = |name: &str| {
        let metrics = site.get("/metrics").body;
        let line = format!("probe_duration_seconds_count{{service=\"{name}\"");
        let count = metrics.lines().find(|it| it.contains(&line))?;
        count.rsplit_once(' ')?.1.parse::<u64>().ok()
    };
    eventually(
        "each has been asked more often than there are threads",
        || {
            let all = (0..8).all(|it| asked(&format!("lost{it}")).is_some_and(|it| it > 30));
            all.then_some(())
        },
    );
    let limit = Duration::from_secs(8);
    for (command, said) in [(&["stop", "lost0"][..], "stopped"), (&["reconfigure"], "")] {
        let done = run_for(site.ctl_command().args(command), limit);
        assert!(done.stdout.contains(said), "{done:?}");
    }
    let before = asked("good").unwrap();
    let more = within(limit, || asked("good").filter(|it| *it > before + 5));
    assert!(more.is_some(), "good is asked no longer");
    let status = site.status();
    assert_eq!(status.service("good").healthy, Some(true));
    assert_eq!(status.service("lost7").healthy, Some(false));
}

/// `PostgreSQL` does not restore its socket file once that is removed, so no client can connect;
/// the health probe shows the fault.
#[test]
fn a_removed_socket_of_postgresql_is_shown() {
    need!(postgres());
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    site.site_file("postgresql.enable = true\n");
    site.start_ready();
    site.wait_for("it is healthy", |status| {
        status.service("postgresql").healthy == Some(true)
    });
    std::fs::remove_file(site.path("run/mattervisor/postgresql/.s.PGSQL.5432")).unwrap();
    let limit = Duration::from_secs(60);
    let status = site.wait_for_within(limit, "it is degraded", |status| {
        status.service("postgresql").healthy == Some(false)
    });
    let reason = status
        .service("postgresql")
        .reason
        .clone()
        .unwrap_or_default();
    assert!(reason.contains(".s.PGSQL.5432: No such file"), "{reason}");
    site.ctl(&["restart", "postgresql"]).ok();
    site.wait_for("it is healthy again", |status| {
        status.service("postgresql").healthy == Some(true)
    });
}
