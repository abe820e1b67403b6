//! Each start of a service looks its account up anew.

use std::fs;

use mattervisor_tests::{Site, StatusExt, need, status_field};

use super::{private_etc, site_with_a_neighbour};

/// Replaces the line of `name` in the supervisor's own `passwd` or `group`; without a `line`
/// removes it.
fn set_entry(site: &Site, file: &str, name: &str, line: Option<&str>) {
    let path = site.path("machine-etc").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let begins = format!("{name}:");
    let kept = text.lines().filter(|line| !line.starts_with(&begins));
    let kept: Vec<&str> = kept.chain(line).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
}

fn uid_of(site: &Site, name: &str) -> String {
    let ids = status_field(site.status().pid(name), "Uid").unwrap();
    ids.split('\t').next().unwrap_or_default().to_owned()
}

/// A restart takes a changed account without any command to the supervisor. A service whose account
/// is gone fails, and no process runs under the old number.
#[test]
fn every_start_takes_the_account_as_it_is_now() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    site.site_file("manage_accounts.enable = false\n");
    let account = |site: &Site, uid: u32| {
        let line = format!("app:x:{uid}:7770::/:/bin/false");
        set_entry(site, "passwd", "app", Some(&line));
    };
    account(&site, 7770);
    set_entry(&site, "group", "app", Some("app:x:7770:"));
    site.child("app", &["sleep"], "user = 'app'\n");
    site.start_ready();
    assert_eq!(uid_of(&site, "app"), "7770");
    let pid = site.status().pid("app");

    account(&site, 7771);
    set_entry(&site, "group", "extra", Some("extra:x:7800:app"));
    let said = "runs with uid 7770, but its account has uid 7771 now";
    let foretold = site.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    assert!(foretold.contains(said), "{foretold}");
    let told = site.ctl(&["reconfigure"]).ok().stdout;
    assert!(
        told.contains("app runs with uid 7770, but its account has uid 7771 now")
            && told.contains("ctl restart app"),
        "{told}"
    );
    assert_eq!(site.status().pid("app"), pid, "it goes on");
    site.ctl(&["restart", "app"]).ok();
    assert_eq!(uid_of(&site, "app"), "7771");
    let groups = status_field(site.status().pid("app"), "Groups").unwrap();
    assert!(groups.split(' ').any(|gid| gid == "7800"), "{groups}");

    account(&site, 7772);
    let pid = site.status().pid("app");
    mattervisor_tests::kill(pid, nix::sys::signal::Signal::SIGKILL);
    site.wait_for("it is back with its new number", |status| {
        let now = status.service("app").pid.filter(|now| *now != pid);
        now.and_then(|now| status_field(now, "Uid"))
            .is_some_and(|ids| ids.starts_with("7772"))
    });

    set_entry(&site, "passwd", "app", None);
    site.ctl(&["restart", "app"]).expect_code(1);
    let status = site.wait_state("app", "failed");
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(reason.contains("there is no user 'app'"), "{reason}");
    assert!(status.ready("neighbour"));
    account(&site, 7773);
    site.ctl(&["start", "app"]).ok();
    assert_eq!(uid_of(&site, "app"), "7773");
}

/// A numeric user needs no account, as in systemd. Without an account it has no primary group, so
/// the service file must name a group.
#[test]
fn a_number_without_an_account_will_do_for_a_user() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    site.child("app", &["sleep"], "user = '54321'\ngroup = '54322'\n");
    site.child("web", &["sleep"], "user = '54321'\n");
    site.start();
    site.wait_state("app", "running");
    let pid = site.status().pid("app");
    for (field, wanted) in [("Uid", "54321"), ("Gid", "54322")] {
        let ids = status_field(pid, field).unwrap();
        assert!(ids.split('\t').all(|id| id == wanted), "{field} {ids}");
    }
    assert_eq!(status_field(pid, "Groups").as_deref(), Some(""));
    let status = site.wait_state("web", "failed");
    let reason = status.service("web").reason.clone().unwrap_or_default();
    assert!(
        reason.contains("uid 54321 has no account, and so no group: give `group` too"),
        "{reason}"
    );
}
