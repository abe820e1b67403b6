//! GitLab's own services: a site file that was a gitlab.rb may name them, but no list of this host
//! shows them.

use std::path::Path;

use mattervisor_tests::Site;

/// Some services that cannot run here, by their names in site files.
const UNAVAILABLE: [&str; 4] = ["puma", "gitlab_workhorse", "grafana", "logrotate"];

fn shipped(lines: &str) -> Site {
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    site.site_file(lines);
    site
}

#[test]
fn what_cannot_run_here_is_in_no_list() {
    let off = UNAVAILABLE.map(|name| format!("{name}.enable = false\n{name}.dir = '/x'\n"));
    let mut site = shipped(&off.concat());
    site.start_ready();
    let lists = [
        &["service-list"][..],
        &["status", "--format", "json"],
        &["show-config"],
        &["completions", "bash"],
    ];
    let words = lists.map(|command| site.ctl(command).ok().stdout).concat();
    assert!(words.contains("redis"), "{words}");
    for name in UNAVAILABLE {
        let dashed = name.replace('_', "-");
        assert!(
            !words.contains(name) && !words.contains(&dashed),
            "{name}: {words}"
        );
        site.ctl(&["status", &dashed]).expect_code(4);
    }
}

#[test]
fn what_cannot_run_here_is_refused_with_the_reason() {
    let site = shipped("redis.enable = false\npuma.enable = true\n");
    let told = site.ctl(&["check-config"]).expect_code(1).both();
    let why =
        "mattervisor.toml:2: error: puma.enable: `puma` cannot run here: it is a part of GitLab";
    assert!(told.contains(why), "{told}");
}
