//! A reconfigure that fails can be rolled back, whatever process dies meanwhile.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use api::{PlanImpact, StatusReply, Verdict};
use mattervisor_tests::{Running, Site, StatusExt, eventually};
use nix::sys::signal::Signal;

use crate::reconfigure::{actions, dry_run, outcome};

/// Limit for the time after which a working plan is kept; generous, for a busy machine.
const PROOF: Duration = Duration::from_secs(60);

/// Waits until `count` plans are kept, to which a rollback can return.
pub(crate) fn until_kept(site: &Site, count: usize) {
    let kept = site.path("var/lib/mattervisor/kept-plans.json");
    let plans = || -> Option<usize> {
        let text = fs::read_to_string(&kept).ok()?;
        let list: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(list.as_array()?.len())
    };
    let end = Instant::now() + PROOF;
    eventually("the plan is kept", || {
        (plans() == Some(count) || Instant::now() > end).then_some(())
    });
    assert_eq!(plans(), Some(count));
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

/// A site with plan A, which works, and plan B, which does not come up.
fn broken_site() -> Site {
    let mut site = Site::new();
    let ready = r#"
        [ready]
        notify = true
        timeout = "2s"
    "#;
    site.child("web", &["notify=READY=1", "sleep"], ready);
    site.child("same", &["sleep"], "");
    site.start_ready();
    until_kept(&site, 1);
    site.child("web", &["err=port 80: permission denied", "exit=3"], ready);
    site
}

/// A service that does not come up is reported with the reason and the way back. A rollback
/// restores the plan and leaves the administrator's files alone, also over a restart of the
/// supervisor.
#[test]
fn what_does_not_come_up_is_explained_and_can_be_gone_back_from() {
    let mut site = broken_site();
    let same = site.status().pid("same");
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    for said in [
        "exit code 3",
        "port 80: permission denied",
        "ctl reconfigure --rollback goes back",
    ] {
        assert!(told.both().contains(said), "no {said:?} in {}", told.both());
    }
    // A second reconfigure reports the same failure.
    let again = site
        .ctl(&["reconfigure", "--format", "json"])
        .expect_code(1);
    assert_eq!(outcome(&again).results[0].verdict, Verdict::Failed);
    assert!(outcome(&again).rollback.is_some());

    let preview = dry_run(&site, &["--rollback"]);
    assert!(preview.rollback.is_some());
    assert_eq!(
        actions(&preview),
        BTreeMap::from([("same", PlanImpact::Keep), ("web", PlanImpact::Start)])
    );
    let told = site.ctl(&["reconfigure", "--rollback"]).ok().stdout;
    assert!(
        told.contains("the files still hold the other configuration"),
        "{told}"
    );
    let status = site.status();
    assert!(status.ready("web"));
    assert_eq!(status.pid("same"), same);
    assert!(rolled_back(&status), "{:?}", status.supervisor);
    let diff = site.ctl(&["diff-config"]).expect_code(1).stdout;
    assert!(
        diff.contains("web would restart: command changed"),
        "{diff}"
    );
    the_bad_one_stays_away(&mut site);
}

fn rolled_back(status: &StatusReply) -> bool {
    let mut warnings = status.supervisor.warnings.iter();
    warnings.any(|it| it.contains("rolled back by"))
}

/// A rollback lasts over restarts of the supervisor until somebody changes a file.
fn the_bad_one_stays_away(site: &mut Site) {
    // Neither a new control process nor a start of the supervisor applies the bad configuration.
    let control = site.control_pid();
    mattervisor_tests::kill(control, Signal::SIGKILL);
    let status = site.wait_for("another control process", |status| {
        status.supervisor.pid != control
    });
    assert!(rolled_back(&status) && status.ready("web"));
    assert_eq!(site.stop(), 0);
    site.start();
    let status = site.wait_for("it runs again", |status| status.ready("web"));
    assert!(rolled_back(&status), "{:?}", status.supervisor);

    // Once the files change, a boot applies them.
    site.child(
        "web",
        &["notify=READY=1", "print=mended", "sleep"],
        "[ready]\nnotify = true\n",
    );
    assert_eq!(site.stop(), 0);
    site.start();
    site.wait_log("web", |line| line == "mended");
    let status = site.wait_for("it is up", |status| status.ready("web"));
    assert!(!rolled_back(&status), "{:?}", status.supervisor);
    site.ctl(&["diff-config"]).ok();
}

/// A service without a readiness check is ready as soon as it is executed. A reconfigure waits to
/// see whether the service stays up, and fails if not, also when the command is repeated.
#[test]
fn what_dies_right_after_its_start_is_no_success() {
    let mut site = Site::new();
    site.child("web", &["sleep"], "");
    site.child("other", &["sleep"], "");
    site.start_ready();
    until_kept(&site, 1);
    site.child("web", &["err=no such table", "exit-after=200:3"], "");
    let told = site.ctl(&["reconfigure"]).expect_code(1).both();
    for said in ["web", "exit code 3", "ctl reconfigure --rollback goes back"] {
        assert!(told.contains(said), "no {said:?} in {told}");
    }
    // A change of another service succeeds, and does not clear the failure.
    site.child("other", &["print=other", "sleep"], "");
    site.ctl(&["reconfigure"]).ok();
    site.ctl(&["reconfigure"]).expect_code(1);

    site.ctl(&["reconfigure", "--rollback"]).ok();
    assert!(site.status().ready("web"));
    site.child("web", &["print=mended", "sleep"], "");
    site.ctl(&["reconfigure"]).ok();
    until_kept(&site, 2);
}

/// Without an earlier configuration a rollback is refused, and nothing changes.
#[test]
fn nothing_to_go_back_to_is_an_error() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    for arguments in [
        &["reconfigure", "--rollback"][..],
        &["reconfigure", "--rollback", "--dry-run"],
    ] {
        let told = site.ctl(arguments).expect_code(1).stderr;
        assert!(
            told.contains("there is no configuration to go back to"),
            "{told}"
        );
    }
    assert_eq!(site.status().pid("a"), pid);
}

/// A rollback to the first configuration is possible although another service was not up with it.
#[test]
fn the_first_configuration_can_be_gone_back_to_though_not_all_was_up() {
    let mut site = Site::new();
    site.child("sick", &["exit=1"], "");
    site.child("web", &["sleep"], "");
    site.start();
    site.wait_for("it runs", |status| status.ready("web"));
    site.child(
        "web",
        &["sleep"],
        r#"
            [ready]
            notify = true
            timeout = "300ms"
            [restart]
            policy = "never"
        "#,
    );
    let told = site
        .ctl(&["reconfigure", "--format", "json"])
        .expect_code(1);
    let kept = outcome(&told).rollback.expect("there is a way back");
    assert_eq!(kept.not_up, ["sick"]);
    site.ctl(&["reconfigure", "--rollback"]).ok();
    assert!(site.status().ready("web"));
}

/// The control process dies between the swap and the verdict: the plan is applied all the same, and
/// the next control process gives the verdict and the way back.
#[test]
fn a_control_process_that_dies_meanwhile_loses_neither_verdict_nor_the_way_back() {
    let site = broken_site();
    let ready = r#"
        [ready]
        notify = true
        timeout = "2s"
        [restart]
        policy = "never"
    "#;
    site.child("web", &["print=new", "sleep"], ready);
    let mut asked = site.ctl_command();
    asked.args(["reconfigure", "--format", "json"]);
    let asked = Running::start(&mut asked);
    site.wait_log("web", |line| line == "new");
    mattervisor_tests::kill(site.control_pid(), Signal::SIGKILL);
    let told = asked.finish_within(PROOF).expect_code(1);
    let outcome = outcome(&told);
    assert_eq!(outcome.results[0].verdict, Verdict::Failed);
    assert!(outcome.rollback.is_some());
    site.ctl(&["reconfigure", "--rollback"]).ok();
    assert!(site.status().ready("web"));
}

/// With files that do not check, a boot runs the last good plan and says so in status, and the
/// commands that read the files name the fault; also after the death of the control process.
#[test]
fn a_boot_with_a_bad_site_file_runs_the_last_good_plan_and_says_so() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    assert_eq!(site.stop(), 0);
    site.site_file("a.envv = { X = '1' }\n");
    site.start();
    let refused = |status: &StatusReply| {
        let mut warnings = status.supervisor.warnings.iter();
        warnings.any(|it| it.contains("was refused, the last good one runs"))
    };
    let status = site.wait_for("the last good plan runs", |status| status.ready("a"));
    assert!(refused(&status), "{:?}", status.supervisor);
    assert!(site.ctl(&["status"]).both().contains("was refused"));
    for arguments in [
        &["check-config"][..],
        &["diff-config"],
        &["reconfigure", "--dry-run"],
        &["reconfigure"],
    ] {
        let told = site.ctl(arguments).expect_code(1).both();
        assert!(
            told.contains("a.envv") && told.contains("mattervisor.toml:1"),
            "{told}"
        );
    }
    assert!(site.supervisor_log().contains("a.envv"));
    let control = site.control_pid();
    mattervisor_tests::kill(control, Signal::SIGKILL);
    let status = site.wait_for("another control process", |status| {
        status.supervisor.pid != control
    });
    assert!(refused(&status), "{:?}", status.supervisor);
    site.site_file("");
    site.ctl(&["reconfigure"]).ok();
    assert!(!refused(&site.status()));
}
