//! Scheduled backups, and the alert when none was made.

use std::{fs, path::PathBuf};

use mattervisor_tests::{StatusExt, eventually, need, nginx, postgres, skip};
use serde_json::json;

use super::{ctl, listed, stack};
use crate::{faults::Disk, stack::Stack};

/// The lines that the notification command has written.
fn told(stack: &Stack) -> Vec<String> {
    let text = fs::read_to_string(stack.site.path("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_told(stack: &Stack, cause: &str, words: &str) {
    eventually(&format!("{cause} is told"), || {
        let mut lines = told(stack).into_iter();
        lines.find(|it| it.starts_with(cause) && it.contains(words))
    });
}

fn metric(stack: &Stack, name: &str) -> Option<f64> {
    let text = stack.site.get("/metrics").body;
    let sample = format!("mattervisor_{name}{{service=\"backup\"}} ");
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(&sample)?.parse().ok())
}

fn is_set(stack: &Stack, name: &str) -> bool {
    metric(stack, name).unwrap() > 0.5
}

/// A stack with scheduled backups to `mount`, where no disk is mounted yet.
fn scheduled(bin: PathBuf, mount: &str) -> Stack {
    let stack = stack(bin, "");
    let site = &stack.site;
    let (tell, told) = (site.file("tell.sh"), site.file("told"));
    let script =
        format!("echo \"$MATTERVISOR_CAUSE $MATTERVISOR_SERVICE: $MATTERVISOR_TEXT\" >>'{told}'\n");
    fs::write(&tell, script).unwrap();
    let path = site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(&path).unwrap();
    let mount = site.file(mount);
    site.site_file(&format!(
        r#"
            {site_file}
            backup.schedule = "0 0 1 1 *"
            backup.to = "{mount}"
            backup.require_mount = "{mount}"
            backup.keep = 2
            backup.overdue_after = "1s"
            [notify.test]
            command = ["sh", "{tell}"]
        "#
    ));
    // Without jitter an overdue run starts at once, not some minutes later.
    site.service("backup", "[schedule]\njitter = '0s'\n");
    stack
}

/// Dates the last scheduled run far back, so that a backup is due at the next start.
fn owe(stack: &Stack) {
    let past = json!({
        "until": { "backup": 1_000_000 },
        "outcomes": { "backup": { "since": 1_000_000 } },
    });
    let path = stack.site.path("var/lib/mattervisor/schedule.json");
    fs::write(path, past.to_string()).unwrap();
}

/// While the disk is missing, the scheduled backup is reported as failed and as overdue. Once the
/// disk is mounted, backups succeed, the recovery is reported, and old backups are removed.
#[test]
fn a_schedule_makes_backups_and_tells_when_there_is_none() {
    let bin = need!(postgres());
    need!(nginx());
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a disk");
    }
    let mut stack = scheduled(bin, "mnt");
    let mount = stack.site.path("mnt");
    fs::create_dir(&mount).unwrap();
    stack.start();
    assert_eq!(stack.site.stop(), 0, "{}", stack.site.supervisor_log());
    owe(&stack);
    stack.start();

    let why = format!("nothing is mounted at {}", mount.display());
    wait_told(&stack, "failed", &why);
    wait_told(&stack, "overdue", "there has been no good run yet");
    let status = stack.site.status();
    let warnings = status.supervisor.warnings.join("\n");
    assert!(warnings.contains("backup is overdue"), "{warnings}");
    let failed = warnings.contains("backup: its last run failed at ");
    assert!(failed && warnings.contains(&why), "{warnings}");
    let backup = status.service("backup");
    let reason = backup.reason.clone().unwrap();
    assert!(reason.contains(&why), "{reason}");
    let schedule = backup.schedule.clone().unwrap();
    assert!(schedule.overdue && schedule.last_good.is_none());
    let shown = ctl(&stack, &["status"]).both();
    assert!(shown.contains("backup is overdue"), "{shown}");
    assert!(is_set(&stack, "service_overdue") && is_set(&stack, "service_last_run_failed"));
    let good = "service_last_success_timestamp_seconds";
    assert_eq!(metric(&stack, good), None);
    assert!(is_set(&stack, "service_next_run_timestamp_seconds"));

    // The failure outlives a restart of the supervisor, and a backup to another directory does not
    // clear it.
    assert_eq!(stack.site.stop(), 0, "{}", stack.site.supervisor_log());
    stack.start();
    let elsewhere = stack.site.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let to = elsewhere.to_str().unwrap();
    ctl(&stack, &["backup", "create", "--to", to]).ok();
    let warnings = stack.site.status().supervisor.warnings.join("\n");
    assert!(warnings.contains(&why), "{warnings}");

    let disk = Disk::mount(&mount, "200m");
    for number in 0..4 {
        let body = json!({
            "id": format!("good-{number}"),
            "arguments": { "operation": "create", "verify": true, "prune": true },
            "wait": true,
        });
        let reply = stack.site.ask("POST", "/v1/jobs/backup", &body);
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    wait_told(&stack, "recovered", "backup");
    assert_eq!(listed(&stack).len(), 2, "two are kept");
    let status = stack.site.status();
    assert_eq!(status.warnings(), [""; 0]);
    let schedule = status.service("backup").schedule.clone().unwrap();
    assert!(!schedule.overdue && schedule.failed.is_none());
    assert!(!is_set(&stack, "service_overdue") && is_set(&stack, good));
    assert_eq!(stack.site.stop(), 0, "{}", stack.site.supervisor_log());
    drop(disk);
}
