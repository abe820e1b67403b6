//! The short form of `./dev soak`: few services, few kills, all promises.

use mattervisor_tests::{
    skip,
    soak::{Attack, Report, Scale, campaign},
};

/// Fails with the whole report if a promise was broken.
fn soak(attack: Attack, cgroups: bool) {
    let seed = std::env::var("MATTERVISOR_SOAK_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
        |text| text.parse().unwrap(),
    );
    let row = campaign(attack, cgroups, Scale::SHORT, seed);
    if let Some(why) = row.why_skipped() {
        skip!("{why}");
    }
    let rows = vec![row];
    let report = Report { seed, rows };
    assert!(!report.is_broken(), "\n{report}");
}

/// No service and no client notices that the control process is killed.
#[test]
fn kills_of_control_are_not_noticed() {
    soak(Attack::KillControl(10), true);
}

#[test]
fn kills_of_control_are_not_noticed_without_cgroups() {
    soak(Attack::KillControl(10), false);
}

/// When the keeper is killed, services are stopped and started anew, and their logs say where lines
/// may be missing.
#[test]
fn kills_of_the_keeper_leave_nothing_and_double_nothing() {
    soak(Attack::KillKeeper(2), true);
}

#[test]
fn kills_of_the_keeper_leave_nothing_and_double_nothing_without_cgroups() {
    soak(Attack::KillKeeper(2), false);
}

/// When both are killed, the next start stops what is left.
#[test]
fn kills_of_both_leave_nothing_and_double_nothing() {
    soak(Attack::KillBoth(2), true);
}

#[test]
fn kills_of_both_leave_nothing_and_double_nothing_without_cgroups() {
    soak(Attack::KillBoth(2), false);
}

/// SIGSTOP, a full disk, a run directory that is removed.
#[test]
fn faults_pass() {
    soak(Attack::Faults(5), true);
}
