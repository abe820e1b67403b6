//! GitLab's own services: they run where GitLab is and nobody else runs them; a group takes them
//! down as one.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use mattervisor_tests::{Site, StatusExt};

/// What `chpst -e DIR PROGRAM …` does, but for the variables.
const CHPST: &str =
    "#!/bin/sh\n[ \"$1\" = -e ] && [ -d \"$2\" ] || exit 111\nshift 2\nexec \"$@\"\n";
const PROGRAM: &str = "#!/bin/sh\necho \"$0 $*\"\nexec sleep 1000\n";

fn put(site: &Site, path: &str, text: &str) {
    let path = site.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A GitLab as its package installs it, as far as our files need it.
fn gitlab() -> Site {
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    put(&site, "opt/gitlab/embedded/bin/chpst", CHPST);
    for program in [
        "bundle",
        "gitlab-workhorse",
        "gitaly-wrapper",
        "gitlab-kas",
        "gitlab-exporter",
    ] {
        put(
            &site,
            &format!("opt/gitlab/embedded/bin/{program}"),
            PROGRAM,
        );
    }
    let rails = "opt/gitlab/embedded/service/gitlab-rails";
    put(&site, &format!("{rails}/bin/sidekiq-cluster"), PROGRAM);
    for name in [
        "gitlab-rails",
        "gitlab-workhorse",
        "gitaly",
        "gitlab-kas",
        "gitlab-exporter",
    ] {
        fs::create_dir_all(site.path(&format!("opt/gitlab/etc/{name}/env"))).unwrap();
    }
    for file in [
        "gitlab-rails/etc/puma.rb",
        "gitlab-rails/working/.keep",
        "gitlab-workhorse/config.toml",
        "gitaly/config.toml",
        "gitlab-kas/gitlab-kas-config.yml",
        "gitlab-exporter/gitlab-exporter.yml",
    ] {
        put(&site, &format!("var/opt/gitlab/{file}"), "");
    }
    site
}

fn site_file(site: &Site, lines: &str) {
    let root = site.root().display().to_string();
    let user = if nix::unistd::geteuid().is_root() {
        "user.username = 'nobody'\nuser.group = 'nogroup'\n"
    } else {
        ""
    };
    site.site_file(&format!(
        "gitlab_dir = \"{root}/opt/gitlab\"\ngitlab_state_dir = \"{root}/var/opt/gitlab\"\n{user}{lines}"
    ));
}

const SERVICES: [&str; 5] = ["puma", "sidekiq", "gitaly", "gitlab-kas", "gitlab-exporter"];

#[test]
fn they_run_and_their_group_takes_them_down() {
    let mut site = gitlab();
    let on = SERVICES.map(|name| format!("{}.enable = true\n", name.replace('-', "_")));
    let on = on.concat();
    site_file(&site, &on);
    site.start_ready();
    let status = site.status();
    for name in SERVICES {
        assert_eq!(status.state(name), "running", "{name}");
    }
    let log = site.ctl(&["logs", "puma"]).ok().stdout;
    assert!(log.contains("bundle exec puma -C"), "{log}");
    // A role enables them too; a group wins over the role.
    let roles = r#"
        roles = ["gitlab"]
        prometheus_monitoring.enable = false
        redis.enable = false
        postgresql.enable = false
        logrotate.enable = false
        gitlab_rails.enable = false
    "#;
    site_file(&site, roles);
    site.ctl(&["reconfigure"]).ok();
    let status = site.status();
    for name in SERVICES {
        assert_eq!(
            (status.service(name).enabled, status.service(name).pid),
            (false, None),
            "{name}"
        );
    }
}

#[test]
fn one_that_runsvdir_runs_is_refused_with_its_name() {
    let site = gitlab();
    site_file(&site, "puma.enable = true\n");
    site.ctl(&["check-config"]).ok();
    fs::create_dir_all(site.path("opt/gitlab/service/puma")).unwrap();
    let said = site.ctl(&["check-config"]).expect_code(1).both();
    assert!(
        said.contains("mattervisor.toml:") && said.contains("gitlab-runsvdir"),
        "{said}"
    );
    fs::remove_dir_all(site.path("opt/gitlab")).unwrap();
    let said = site.ctl(&["check-config"]).expect_code(1).both();
    assert!(
        said.contains("GitLab's puma is not installed here"),
        "{said}"
    );
}
