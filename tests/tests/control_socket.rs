//! Access to the control socket: root and the groups of the site file, nobody else. No client
//! blocks another.

use std::{
    fs,
    io::{IoSlice, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown},
            net::UnixStream,
        },
    },
    path::PathBuf,
    process::Command,
};

use mattervisor_tests::{Ctl, LIMIT, Site, eventually, kill, run, skip};
use nix::{
    errno::Errno,
    libc::linger,
    sys::{
        signal::Signal,
        socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt::Linger},
    },
};

/// Group and user ids that no machine assigns.
const ADMINS: &str = "4000001";
const VIEWERS: &str = "4000002";
const OTHERS: &str = "4000003";
const SOMEBODY: &str = "4000100";

/// Runs `ctl` as a user with these supplementary groups.
fn ctl_in(site: &Site, groups: &str, arguments: &[&str]) -> Ctl {
    // The build directory may be closed to other users.
    let copy = site.path("ctl");
    if !copy.exists() {
        mattervisor_tests::install(&mattervisor_tests::binary("ctl"), &copy);
    }
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={SOMEBODY}"))
        .arg(format!("--regid={SOMEBODY}"));
    match groups {
        "" => command.arg("--clear-groups"),
        groups => command.arg(format!("--groups={groups}")),
    };
    command.arg(copy).arg("--root").arg(site.root());
    run(command.args(arguments))
}

/// Waits until a user in these groups gets this exit code from `ctl status`.
fn until(site: &Site, groups: &str, code: i32) -> Ctl {
    eventually(&format!("exit code {code} for {groups}"), || {
        let told = ctl_in(site, groups, &["status"]);
        (told.code == code).then_some(told)
    })
}

fn site_file(site: &Site, admins: &str, viewers: &str) {
    let line = |key: &str, gid: &str| match gid {
        "" => String::new(),
        gid => format!("control.{key} = '{gid}'\n"),
    };
    site.site_file(&(line("admin_group", admins) + &line("viewer_group", viewers)));
}

/// Writes an executable shell script of these lines.
fn script(site: &Site, lines: &str) -> PathBuf {
    let path = site.path("script");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn mode(site: &Site) -> u32 {
    let socket = site.path("run/mattervisor/ctl.sock");
    fs::metadata(socket).unwrap().mode() & 0o777
}

#[test]
fn the_socket_is_open_to_its_groups_only_and_follows_the_plan() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site_file(&site, ADMINS, VIEWERS);
    site.child("a", &["sleep"], "");
    site.start_ready();
    until(&site, ADMINS, 0);
    until(&site, VIEWERS, 0);
    assert_eq!(mode(&site), 0o660);
    ctl_in(&site, VIEWERS, &["restart", "a"]).expect_code(6);
    ctl_in(&site, ADMINS, &["restart", "a"]).ok();
    let told = ctl_in(&site, OTHERS, &["status"]).expect_code(6);
    for part in [
        "uid 4000100",
        "gid 4000003",
        "gid 4000001",
        "gid 4000002",
        "usermod -aG",
    ] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }

    site_file(&site, OTHERS, "");
    site.ctl(&["reconfigure"]).ok();
    until(&site, OTHERS, 0);
    for gone in [ADMINS, VIEWERS] {
        until(&site, gone, 6);
    }
    site_file(&site, "", "");
    site.ctl(&["reconfigure"]).ok();
    let told = until(&site, OTHERS, 6);
    assert!(
        told.stderr.contains("open to root alone"),
        "{}",
        told.stderr
    );
    assert_eq!(mode(&site), 0o600);
}

#[test]
fn members_stay_members_while_the_control_process_is_replaced() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site_file(&site, ADMINS, VIEWERS);
    site.child("a", &["sleep"], "");
    site.start_ready();
    until(&site, VIEWERS, 0);
    for _ in 0..3 {
        kill(site.control_pid(), Signal::SIGKILL);
        ctl_in(&site, VIEWERS, &["status"]).ok();
    }
}

#[test]
fn a_closed_directory_on_the_way_is_named() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site_file(&site, ADMINS, "");
    site.child("a", &["sleep"], "");
    site.start_ready();
    until(&site, ADMINS, 0);
    let run_dir = site.path("run");
    fs::set_permissions(&run_dir, PermissionsExt::from_mode(0o700)).unwrap();
    let told = ctl_in(&site, ADMINS, &["status"]).expect_code(6);
    let expected = format!("you may not enter {}\n", run_dir.display());
    assert!(told.stderr.contains(&expected), "{}", told.stderr);
}

#[test]
fn an_inherited_umask_closes_nothing() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site_file(&site, ADMINS, "");
    site.child("a", &["sleep"], "");
    let program = mattervisor_tests::binary("mattervisord");
    let strict = script(
        &site,
        &format!("umask 077\nexec {} \"$@\"", program.display()),
    );
    site.program(&strict);
    site.start_ready();
    until(&site, ADMINS, 0);
}

/// A client that waits at a removed socket is served, and the new socket is open to the same
/// groups.
#[test]
fn a_socket_that_is_made_again_is_open_to_its_groups_and_nobody_waits_in_vain() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site_file(&site, ADMINS, VIEWERS);
    site.child("a", &["sleep"], "");
    site.start_ready();
    until(&site, VIEWERS, 0);
    let socket = site.path("run/mattervisor/ctl.sock");
    let control = site.control_pid();
    kill(control, Signal::SIGSTOP);
    let mut waiting = UnixStream::connect(&socket).unwrap();
    waiting.set_read_timeout(Some(LIMIT)).unwrap();
    let asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    waiting.write_all(asked).unwrap();
    let before = fs::metadata(&socket).unwrap().ino();
    fs::remove_file(&socket).unwrap();
    eventually("there is another socket", || {
        let now = fs::metadata(&socket).ok()?;
        (now.ino() != before).then_some(())
    });
    assert_eq!(mode(&site), 0o600, "nobody has opened it yet");
    kill(control, Signal::SIGCONT);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for group in [ADMINS, VIEWERS] {
        until(&site, group, 0);
    }
    until(&site, OTHERS, 6);
    assert_eq!(site.control_pid(), control);
}

/// A supervisor without root may not give the socket to a group of which it is no member, but may
/// name that group in the access control list.
#[test]
fn a_supervisor_without_root_is_open_to_its_groups_too() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site_file(&site, ADMINS, VIEWERS);
    let program = site.path("mattervisord");
    mattervisor_tests::install(&mattervisor_tests::binary("mattervisord"), &program);
    let owner = "setpriv --reuid=4000200 --regid=4000200 --clear-groups";
    let lines = format!("exec {owner} {} \"$@\"", program.display());
    let wrapper = script(&site, &lines);
    site.program(&wrapper);
    chown(site.root(), Some(4_000_200), Some(4_000_200)).unwrap();
    site.start();
    for group in [ADMINS, VIEWERS] {
        until(&site, group, 0);
    }
    let told = ctl_in(&site, OTHERS, &["status"]).expect_code(6);
    let expected = "open to uid 4000200 and the groups gid 4000001 and gid 4000002";
    assert!(told.stderr.contains(expected), "{}", told.stderr);
}

/// A client passes a descriptor whose close blocks for an hour: the kernel refuses to pass it, or
/// the supervisor closes it where the close delays no client.
#[test]
fn descriptors_that_a_client_sends_hold_nobody_up() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_peer, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let chunk = vec![0; 64 << 10];
    while ours.write(&chunk).is_ok() {}

    let mut client = UnixStream::connect(site.path("run/mattervisor/ctl.sock")).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    // The option is set before our copy is closed, so that the last close, which lingers, is the
    // supervisor's.
    let linger_on = |l_onoff| {
        let l_linger = 3600;
        setsockopt(&ours, Linger, &linger { l_onoff, l_linger }).unwrap();
    };
    linger_on(1);
    let control = site.control_pid();
    kill(control, Signal::SIGSTOP);
    let sent = sendmsg::<()>(
        client.as_raw_fd(),
        &[IoSlice::new(b"GET /healthz HTTP/1.1\r\n")],
        &[ControlMessage::ScmRights(&[ours.as_raw_fd()])],
        MsgFlags::empty(),
        None,
    );
    if sent.is_err() {
        linger_on(0);
    }
    drop(ours);
    kill(control, Signal::SIGCONT);
    match sent {
        Err(error) => assert_eq!(error, Errno::EPERM),
        // Linux before 6.16 passes the descriptor, and the supervisor hangs up on its client.
        Ok(_) => assert_eq!(client.read(&mut [0; 64]).unwrap_or(0), 0, "hung up on"),
    }
    assert_eq!(site.get("/healthz").status, 200);
}
