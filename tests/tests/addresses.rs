//! Addresses that services listen on: host names that must be resolved, and ports that pass from
//! one service to another.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use mattervisor_tests::{Running, Site, StatusExt, binary, eventually, free_port, need};

use crate::accounts::{in_private_etc, private_etc};

const LIMIT: Duration = Duration::from_secs(60);

/// A name server that never answers, on a loopback address of this process's own.
fn silent_name_server() -> Option<UdpSocket> {
    let [_, _, low, last] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 77, low, last);
    let socket = UdpSocket::bind((address, 53)).ok()?;
    socket.set_read_timeout(Some(LIMIT)).ok()?;
    Some(socket)
}

/// A resolver that does not answer delays the service that needs it, and no other service.
#[test]
fn a_name_in_listens_is_looked_up_without_holding_up_anybody_else() {
    need!(private_etc());
    let server = silent_name_server().expect("root may have port 53");
    let mut site = Site::new();
    in_private_etc(&mut site, "");
    let address = server.local_addr().unwrap().ip();
    fs::write(
        site.path("machine-etc/resolv.conf"),
        format!("nameserver {address}\noptions timeout:20 attempts:1\n"),
    )
    .unwrap();
    fs::write(
        site.path("machine-etc/nsswitch.conf"),
        "passwd: files\ngroup: files\nhosts: files dns\n",
    )
    .unwrap();
    let port = free_port();
    site.child("a", &["sleep"], "");
    site.child(
        "named",
        &["sleep"],
        &format!("listens = ['chat.example.org:{port}']\n"),
    );
    site.start();
    server.recv_from(&mut [0; 512]).expect("it is asked");
    site.ctl(&["restart", "a"]).ok();
    let status = site.status();
    assert!(status.ready("a"));
    assert_eq!(status.state("named"), "spawning", "{status:#?}");
    // Without the server's socket the resolver fails at once, and the service starts all the same.
    drop(server);
    site.wait_state("named", "running");
}

/// A service file: the service listens on `port` and, after SIGTERM, ends only once the file `gate`
/// exists.
fn slow_to_go(site: &Site, port: u16, gate: &str) -> String {
    let child = binary("testchild");
    format!(
        r#"
            command = ["/bin/sh", "-c", "{child} site={root} listen={port} & trap 'until test -e {gate}; do sleep 0.02; done; exit 0' TERM; while :; do wait; done"]
            listens = ["127.0.0.1:{port}"]
            [ready]
            tcp = "127.0.0.1:{port}"
            interval = "50ms"
        "#,
        child = child.display(),
        root = site.root().display(),
    )
}

/// A port passes from one service to another in one change: the new service waits until the old one
/// has released the port, and its status says so.
#[test]
fn a_port_goes_from_one_service_to_another_in_one_change() {
    let mut site = Site::new();
    let (port, gate) = (free_port(), site.file("gate"));
    site.service("a", &slow_to_go(&site, port, &gate));
    site.start_ready();
    site.without("a");
    let listens = format!("listens = ['127.0.0.1:{port}']\n");
    site.child("b", &[&format!("listen={port}")], &listens);
    let mut reconfigure = site.ctl_command();
    reconfigure.arg("reconfigure");
    let reconfigure = Running::start(&mut reconfigure);
    let waits = format!("waiting for a to release 127.0.0.1:{port}");
    let said = |site: &Site, name: &str| {
        let status = site.status();
        let service = status.services.iter().find(|it| it.name == name);
        service.and_then(|it| it.reason.clone()).unwrap_or_default()
    };
    eventually("b waits for a", || {
        (said(&site, "b") == waits).then_some(())
    });
    let why = site.ctl(&["why", "b"]).stdout;
    assert!(why.contains(&waits), "{why}");
    fs::write(&gate, "").unwrap();
    let told = reconfigure.finish_within(LIMIT).ok();
    assert!(!told.both().contains("in use"), "{}", told.both());
    let status = site.status();
    assert!(status.ready("b"));
    assert_eq!(status.service("b").restarts, 0);
}

/// The wait for a port can be cancelled, and lasts no longer than the other service's stop may
/// take.
#[test]
fn the_wait_for_a_port_ends_by_a_stop_or_by_the_others_kill_deadline() {
    let mut site = Site::new();
    let (port, gate) = (free_port(), site.file("gate"));
    let stop = "[stop]\ntimeout = '2s'\n";
    site.service("a", &format!("{}{stop}", slow_to_go(&site, port, &gate)));
    site.start_ready();
    site.without("a");
    let listens = format!("listens = ['127.0.0.1:{port}']\n");
    let verb = format!("listen={port}");
    site.child("b", &[&verb], &listens);
    site.ctl(&["reconfigure", "--no-wait"]).ok();
    site.wait_for("b is known", |status| {
        status.services.iter().any(|it| it.name == "b")
    });
    site.ctl(&["stop", "b"]).ok();
    assert_eq!(site.status().state("b"), "stopped");
    site.ctl(&["start", "b"]).ok();
    let status = site.status();
    assert!(status.ready("b"));
    assert_eq!(status.service("b").restarts, 0);
}

/// Service `a` declares no address, so the holder of the port is found among the processes, not in
/// the plan.
#[test]
fn a_port_that_nobody_has_named_is_waited_for_too() {
    let mut site = Site::new();
    let (port, gate) = (free_port(), site.file("gate"));
    let a = slow_to_go(&site, port, &gate);
    let listens = format!("listens = ['127.0.0.1:{port}']\n");
    site.service("a", &a.replace(&listens, ""));
    site.start_ready();
    site.without("a");
    site.child("b", &[&format!("listen={port}")], &listens);
    site.ctl(&["reconfigure", "--no-wait"]).ok();
    let waits = format!("waiting for a to release 127.0.0.1:{port}");
    site.wait_for("b waits for a", |status| {
        let b = status.services.iter().find(|it| it.name == "b");
        b.is_some_and(|it| it.reason.as_deref() == Some(&waits))
    });
    fs::write(&gate, "").unwrap();
    site.wait_for("b is ready", |status| status.ready("b"));
    assert_eq!(site.status().service("b").restarts, 0);
}

/// A child of the last run that ignores SIGTERM is gone before the next run checks the port.
#[test]
fn a_restart_finds_its_own_port_free() {
    let mut site = Site::new();
    let port = free_port();
    let child = binary("testchild");
    site.service(
        "a",
        &format!(
            r#"
                command = ["/bin/sh", "-c", "{child} site={root} ignore-term listen={port} & exec {child} site={root} sleep"]
                listens = ["127.0.0.1:{port}"]
                [ready]
                tcp = "127.0.0.1:{port}"
                interval = "50ms"
            "#,
            child = child.display(),
            root = site.root().display(),
        ),
    );
    site.start_ready();
    let told = site.ctl(&["restart", "a"]).ok();
    assert!(!told.both().contains("in use"), "{}", told.both());
    let status = site.status();
    assert!(status.ready("a"));
    assert_eq!(status.service("a").restarts, 0);
}
