//! A reconfigure of the whole stack: a real nginx checks its new configuration, and no other
//! service is touched.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use api::{PlanImpact, Preview};
use mattervisor_tests::{StatusExt, http_get, need, nginx, postgres};

use crate::stack::Stack;

/// Limit for a reconfigure that finds nothing changed: ctl, the supervisor and the reading of the
/// catalogue. Ten times the promise, for a test build on a busy machine.
const NOTHING_CHANGED: Duration = Duration::from_millis(500);

fn add(stack: &Stack, line: &str) {
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(file).unwrap();
    stack.site.site_file(&format!("{site_file}{line}\n"));
}

/// A changed nginx configuration is checked beside the old, swapped in and reloaded: nginx keeps
/// its pid, the others do not notice. What nginx rejects changes nothing, in nginx's own words.
#[test]
fn nginx_is_checked_swapped_and_reloaded_or_left_alone() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let site = &stack.site;
    let before = site.status();
    let pids = |status: &api::StatusReply| {
        ["postgresql", "mattermost", "nginx"].map(|name| status.pid(name))
    };
    let conf = site.path("run/mattervisor/nginx-conf/nginx.conf");
    let old = (fs::read(&conf).unwrap(), fs::metadata(&conf).unwrap().ino());
    let plan = fs::read(site.path("var/lib/mattervisor/plan.json")).unwrap();
    let listed = || -> Vec<_> {
        let entries = fs::read_dir(conf.parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let beside = listed();

    let site_file = fs::read_to_string(site.path("etc/mattervisor/mattervisor.toml")).unwrap();
    add(
        &stack,
        "mattermost_nginx.proxy_read_timeout = 3601\nmattermost_nginx.custom_nginx_config = 'no_such_directive on;'",
    );
    for arguments in [&["reconfigure"][..], &["reconfigure", "--dry-run"]] {
        let told = site.ctl(arguments).expect_code(1).both();
        assert!(
            told.contains("unknown directive \"no_such_directive\""),
            "{told}"
        );
        assert_eq!(listed(), beside);
    }
    assert_eq!(pids(&site.status()), pids(&before));
    assert_eq!(
        old,
        (fs::read(&conf).unwrap(), fs::metadata(&conf).unwrap().ino())
    );
    assert_eq!(
        fs::read(site.path("var/lib/mattervisor/plan.json")).unwrap(),
        plan
    );

    site.site_file(&site_file);
    add(&stack, "mattermost_nginx.proxy_read_timeout = 3601");
    only_nginx_would_reload(&stack);
    let told = site.ctl(&["reconfigure"]).ok().stdout;
    assert!(
        told.contains("nginx reloads: file") && told.contains("nginx.conf changed"),
        "{told}"
    );
    assert_eq!(pids(&site.status()), pids(&before));
    let new = fs::read_to_string(&conf).unwrap();
    assert!(new.contains("3601"), "{new}");
    assert_eq!(
        http_get(stack.nginx_port, "/").map(|(code, _)| code),
        Some(200)
    );
    assert_eq!(listed(), beside, "no candidate is left");
}

fn only_nginx_would_reload(stack: &Stack) {
    let told = stack
        .site
        .ctl(&["reconfigure", "--dry-run", "--format", "json"])
        .ok();
    let preview: Preview = serde_json::from_str(&told.stdout).unwrap();
    for service in &preview.services {
        let meant = if service.name == "nginx" {
            PlanImpact::Reload
        } else {
            PlanImpact::Keep
        };
        assert_eq!(service.action, meant, "{service:?}");
    }
    assert!(
        preview
            .checks
            .iter()
            .any(|it| it.passed && it.service == "nginx"),
        "{preview:?}"
    );
}

/// A reconfigure without a change writes nothing, and is over at once.
#[test]
fn nothing_changed_is_over_at_once() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let plan = stack.site.path("var/lib/mattervisor/plan.json");
    let written = fs::metadata(&plan).unwrap().ino();
    let took = (0..5).map(|_| {
        let told = stack.site.ctl(&["reconfigure"]).ok();
        assert!(
            told.stdout.contains("no service had to change"),
            "{}",
            told.stdout
        );
        told.took
    });
    let best = took.min().unwrap();
    println!("a reconfigure that changes nothing takes {best:?}");
    assert!(best < NOTHING_CHANGED, "it takes {best:?}");
    assert_eq!(fs::metadata(&plan).unwrap().ino(), written);
}
