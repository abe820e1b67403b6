//! The scripts for inits other than systemd: sysvinit, `OpenRC` and runit, each booted for real in a
//! Debian tree. `Machine` has the daemon and two services, of which `top` requires `base`.

use std::{path::Path, time::Duration};

use mattervisor_tests::{Ctl, Machine, debian_tree, need, stamps, within};

/// Where the services write that they have been asked to stop.
const STOPS: &str = "/var/stops";
/// A service file that does not check.
const BROKEN: &str = "/etc/mattervisor/services.d/broken.toml";
/// Limit for a boot, and for what a script answers by itself.
const ANSWER: Duration = Duration::from_secs(60);
/// Takes the tree's terminals away, which the machine does not have.
const NO_TERMINALS: &str = "sed -i /getty/d /etc/inittab";

/// The line for cron of docs/other-inits.md.
const EACH_MINUTE: &str =
    "s=/etc/init.d/mattervisor; $s status >/dev/null; [ $? -ne 1 ] || $s start";

/// A file of `packaging/`.
fn packaged(machine: &Machine, from: &str, to: &str) {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    machine.copy(&packaging.join(from), to, 0o755);
}

/// Installs the daemon with two services, which are ready once they take signals; `base` takes so
/// long to stop.
fn install(machine: &Machine, stop_delay_ms: u32) {
    machine.install();
    let child = "command = ['/usr/local/bin/testchild', 'stop-delay=";
    let rest = format!("', 'stop-file={STOPS}', 'notify=READY=1', 'sleep']\n");
    let ready = "[ready]\nnotify = true\n";
    let base = format!("{child}{stop_delay_ms}{rest}{ready}");
    let top = format!("{child}0{rest}requires = ['base']\n{ready}");
    for (name, text) in [("base", base), ("top", top)] {
        let path = format!("/etc/mattervisor/services.d/{name}.toml");
        machine.file(&path, 0o644, text.as_bytes());
    }
}

/// The daemon and its services, by their pids on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Up {
    daemon: String,
    base: String,
    top: String,
}

/// Waits until a daemon other than `before` runs both services.
fn up(machine: &Machine, before: Option<&Up>) -> Up {
    let found = within(ANSWER, || {
        let up = look(machine)?;
        (before.is_none_or(|before| before.daemon != up.daemon)).then_some(up)
    });
    found.unwrap_or_else(|| panic!("not up: {}", machine.log()))
}

/// None: not all is ready.
fn look(machine: &Machine) -> Option<Up> {
    let status = machine.run(&["mattervisorctl", "--format", "json", "status"]);
    if status.code != 0 {
        return None;
    }
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let services = status["services"].as_array().unwrap();
    let pid = |name: &str| {
        let service = services.iter().find(|service| service["name"] == name);
        service.unwrap()["pid"].to_string()
    };
    Some(Up {
        daemon: status["supervisor"]["keeper_pid"].to_string(),
        base: pid("base"),
        top: pid("top"),
    })
}

/// Since the last `forget_stops` these services have been asked to stop, `top` before `base`, and no other.
fn stopped_in_order(machine: &Machine, services: &Up) {
    let stops = machine.path(STOPS);
    let pids: Vec<String> = stamps(&stops)
        .iter()
        .map(|stop| stop.pid.to_string())
        .collect();
    let order = [services.top.clone(), services.base.clone()];
    assert_eq!(pids, order, "{services:?} {}", machine.log());
}

/// Stops until now do not count.
fn forget_stops(machine: &Machine) {
    machine.run(&["rm", STOPS]).ok();
}

/// Adds a service file that does not check.
fn break_configuration(machine: &Machine) {
    let script = "echo 'key = 1' >\"$0\"";
    machine.run(&["sh", "-c", script, BROKEN]).ok();
}

/// What is done by every init: the daemon is up after the boot without being asked; a reload ends as
/// `ctl reconfigure` does; a restart and a stop are ordered, and leave nothing.
fn holds(machine: &Machine, script: impl Fn(&str) -> Ctl, status: [i32; 2]) {
    let first = up(machine, None);
    script("status").expect_code(status[0]);
    script("restart").ok();
    let second = up(machine, Some(&first));
    stopped_in_order(machine, &first);
    forget_stops(machine);
    script("stop").ok();
    stopped_in_order(machine, &second);
    forget_stops(machine);
    script("status").expect_code(status[1]);
    machine
        .run(&["pgrep", "mattervisord|testchild"])
        .expect_code(1);
    script("start").ok();
    up(machine, None);
}

/// A reload applies the files, and its exit code is that of `ctl reconfigure`.
fn reloads(machine: &Machine, script: impl Fn(&str) -> Ctl) {
    script("reload").ok();
    break_configuration(machine);
    let refused = script("reload").expect_code(1).both();
    assert!(refused.contains("broken.toml"), "{refused}");
    machine.run(&["rm", BROKEN]).ok();
}

/// Kills the daemon; its control process stops the services in order.
fn kill_daemon(machine: &Machine) -> Up {
    let killed = up(machine, None);
    machine.run(&["kill", "-KILL", &killed.daemon]).ok();
    killed
}

/// The init starts another daemon by itself, once the services of the killed one are stopped.
fn comes_back(machine: &Machine) {
    let killed = kill_daemon(machine);
    up(machine, Some(&killed));
    stopped_in_order(machine, &killed);
    forget_stops(machine);
}

/// The machine goes down, and waits for the ordered stop.
fn goes_down_in_order(machine: &mut Machine) {
    let last = up(machine, None);
    machine.run(&["poweroff"]);
    machine.wait_down();
    stopped_in_order(machine, &last);
}

/// sysvinit does not look after daemons: `status` tells of a dead one, and a line for cron starts
/// another. A stop waits for the services of a dead one.
#[test]
fn sysvinit_starts_reloads_and_stops_in_order() {
    let packages = [
        "sysvinit-core",
        "sysv-rc",
        "initscripts",
        "insserv",
        "procps",
    ];
    let tree = need!(debian_tree("sysvinit", &packages, &[]));
    let mut machine = need!(Machine::of(tree));
    install(&machine, 1500);
    packaged(&machine, "sysvinit/mattervisor", "/etc/init.d/mattervisor");
    machine.boot(&format!("{NO_TERMINALS}; update-rc.d mattervisor defaults"));
    let script = |word: &str| machine.run(&["/etc/init.d/mattervisor", word]);
    holds(&machine, script, [0, 3]);
    reloads(&machine, script);

    let killed = kill_daemon(&machine);
    script("status").expect_code(1);
    script("reload").expect_code(7);
    script("try-restart").ok();
    machine.run(&["sh", "-c", EACH_MINUTE]).ok();
    up(&machine, Some(&killed));
    stopped_in_order(&machine, &killed);
    forget_stops(&machine);
    script("nonsense").expect_code(2);

    let killed = kill_daemon(&machine);
    script("stop").ok();
    stopped_in_order(&machine, &killed);
    forget_stops(&machine);
    break_configuration(&machine);
    machine
        .run(&["sh", "-c", "rm /var/lib/mattervisor/*plan*"])
        .ok();
    let refused = script("start").expect_code(1).both();
    assert!(
        refused.contains("no configuration that has ever worked"),
        "{refused}"
    );
    machine.run(&["rm", BROKEN]).ok();
    script("start").ok();
    goes_down_in_order(&mut machine);
}

/// `OpenRC`'s supervise-daemon starts another daemon when one has died.
#[test]
fn openrc_starts_reloads_and_stops_in_order() {
    let packages = ["sysvinit-core", "initscripts", "procps"];
    let tree = need!(debian_tree("openrc", &packages, &["openrc"]));
    let mut machine = need!(Machine::of(tree));
    install(&machine, 0);
    packaged(&machine, "openrc/mattervisor", "/etc/init.d/mattervisor");
    machine.boot(&format!(
        "{NO_TERMINALS}; rc-update add mattervisor default"
    ));
    let script = |word: &str| machine.run(&["rc-service", "mattervisor", word]);
    holds(&machine, script, [0, 3]);
    reloads(&machine, script);
    comes_back(&machine);
    goes_down_in_order(&mut machine);
}

/// runit starts another daemon when one has died, and gives a stop the time that it is told; `base`
/// takes more than the seven seconds that `sv` waits if it is told none.
#[test]
fn runit_starts_and_stops_in_order() {
    let tree = need!(debian_tree("runit", &["runit-init", "procps"], &[]));
    let mut machine = need!(Machine::of(tree));
    install(&machine, 8000);
    for name in ["run", "finish", "check", "log/run"] {
        let place = format!("/etc/sv/mattervisor/{name}");
        packaged(&machine, &format!("runit/{name}"), &place);
    }
    let shutdown = b"#!/bin/sh\nsv -w 330 stop mattervisor\n";
    machine.file("/etc/runit/rc.shutdown", 0o755, shutdown);
    let services = "/etc/runit/runsvdir/default";
    machine.boot(&format!(
        "rm -f {services}/getty*; ln -s /etc/sv/mattervisor {services}/"
    ));
    // The exit code of `sv status` says nothing; a check asks whether the daemon answers.
    let script = |word: &str| {
        let word = if word == "status" { "check" } else { word };
        machine.run(&["sv", "-w", "330", word, "mattervisor"])
    };
    holds(&machine, script, [0, 0]);
    comes_back(&machine);

    script("stop").ok();
    forget_stops(&machine);
    break_configuration(&machine);
    machine
        .run(&["sh", "-c", "rm /var/lib/mattervisor/*plan*"])
        .ok();
    machine
        .run(&["sv", "-w", "1", "start", "mattervisor"])
        .expect_code(1);
    let said = within(ANSWER, || {
        let down = machine.run(&["sv", "status", "mattervisor"]).stdout;
        down.starts_with("down: mattervisor").then_some(())
    });
    assert!(said.is_some(), "it does not stay down: {}", machine.log());
    machine.run(&["rm", BROKEN]).ok();
    script("start").ok();
    goes_down_in_order(&mut machine);
}
