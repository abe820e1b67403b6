//! A standard error that takes no output hinders nothing but its reader: whatever its kind,
//! services come back, every command works, and the shutdown is in order.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::PathBuf,
};

use mattervisor_tests::{Site, StatusExt, alive, eventually, kill, skip, stamps};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    mount::{MntFlags, MsFlags, mount, umount2},
    pty::openpty,
    sys::{signal::Signal, stat::Mode},
    unistd::{mkfifo, pipe2},
};

/// Two services of which one needs the other.
fn site() -> Site {
    let site = Site::new();
    let stops = format!("stop-file={}", site.file("stops"));
    site.child("a", &[&stops, "sleep"], "");
    site.child("b", &[&stops, "sleep"], "requires = ['a']");
    site
}

/// Every kind of change works, and no control process has had to be replaced.
fn everything_works(site: &Site) {
    let pid = site.status().pid("a");
    kill(pid, Signal::SIGKILL);
    site.wait_reborn("a", pid);
    site.ctl(&["restart", "a"]).ok();
    site.ctl(&["stop", "b"]).ok();
    site.ctl(&["start", "b"]).ok();
    site.child("c", &["sleep"], "");
    site.ctl(&["reconfigure"]).ok();
    site.without("c");
    site.ctl(&["reconfigure"]).ok();
    let status = site.wait_for("all are up", |it| it.ready("a") && it.ready("b"));
    assert_eq!(status.supervisor.control_restarts, 0);
}

/// The supervisor stops its services in order and exits with 0.
fn ends(mut site: Site) {
    let status = site.status();
    let running = [status.pid("b"), status.pid("a")];
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    let stops = stamps(&site.path("stops"));
    let order: Vec<i32> = stops.iter().rev().take(2).rev().map(|it| it.pid).collect();
    assert_eq!(order, running, "the last two in reverse order of start");
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

fn goes_on_with(stderr: impl Into<OwnedFd>) {
    let mut site = site();
    site.stderr(stderr);
    site.start_ready();
    everything_works(&site);
    ends(site);
}

/// Fills a pipe or a socket completely, and leaves it in blocking mode.
fn fill(to: impl AsFd) {
    fcntl(&to, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    for size in [4096, 1] {
        while nix::unistd::write(&to, &vec![b'.'; size]).is_ok() {}
    }
    fcntl(&to, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
}

#[test]
fn a_full_disk_as_stderr_is_no_trouble() {
    goes_on_with(File::options().write(true).open("/dev/full").unwrap());
}

#[test]
fn a_pipe_whose_reader_has_gone_is_no_trouble() {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    drop(read);
    goes_on_with(write);
}

#[test]
fn a_pipe_that_nobody_reads_is_no_trouble() {
    let (_read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    fill(&write);
    goes_on_with(write);
}

#[test]
fn a_socket_whose_other_side_has_gone_is_no_trouble() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    goes_on_with(theirs);
}

#[test]
fn a_socket_that_nobody_reads_is_no_trouble() {
    let (_ours, theirs) = UnixStream::pair().unwrap();
    fill(&theirs);
    goes_on_with(theirs);
}

#[test]
fn a_closed_terminal_is_no_trouble() {
    let terminal = openpty(None, None).unwrap();
    let mut site = site();
    site.stderr(terminal.slave.try_clone().unwrap());
    site.start_ready();
    drop(terminal.master);
    everything_works(&site);
    ends(site);
}

/// A terminal on which somebody has pressed Ctrl-S.
#[test]
fn a_terminal_that_is_held_is_no_trouble() {
    let terminal = openpty(None, None).unwrap();
    let mut master = File::from(terminal.master);
    let mut site = site();
    site.stderr(terminal.slave.try_clone().unwrap());
    master.write_all(b"\x13").unwrap();
    site.start_ready();
    everything_works(&site);
    ends(site);
}

/// A small tmpfs, unmounted on drop.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let tmpfs = Some("tmpfs");
        mount(tmpfs, &path, tmpfs, MsFlags::empty(), Some("size=64k")).unwrap();
        Self(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Once a full disk has room again, the log tells that lines were lost, and no two lines are
/// joined.
#[test]
fn what_a_full_disk_has_cost_is_told_once_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut site = site();
    let disk = Disk::mount(site.path("disk"));
    let (log, ballast) = (disk.0.join("log"), disk.0.join("ballast"));
    let append = File::options()
        .append(true)
        .create(true)
        .open(&log)
        .unwrap();
    site.stderr(append);
    let mut filling = File::create(&ballast).unwrap();
    while filling.write_all(&[b'x'; 512]).is_ok() {}
    site.start_ready();
    everything_works(&site);
    fs::remove_file(&ballast).unwrap();
    drop(filling);
    site.ctl(&["restart", "a"]).ok();
    let told = eventually("the loss is told", || {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("lines were lost here: standard error took nothing")
            .then_some(text)
    });
    for line in told.lines() {
        assert_eq!(line.matches("Z ").count(), 1, "two lines in one: {line}");
    }
    ends(site);
}

/// When a log reader is restarted, the new reader gets the later lines and learns that lines were
/// lost.
#[test]
fn what_a_reader_has_missed_is_told_to_the_next_one() {
    let mut site = site();
    let fifo = site.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let reader = || {
        let nonblocking = OFlag::O_NONBLOCK.bits();
        let file = File::options()
            .read(true)
            .custom_flags(nonblocking)
            .open(&fifo);
        file.unwrap()
    };
    let first = reader();
    site.stderr(File::options().write(true).open(&fifo).unwrap());
    site.start_ready();
    drop(first);
    everything_works(&site);
    let mut second = reader();
    site.ctl(&["restart", "a"]).ok();
    let mut text = String::new();
    eventually("the loss is told", || {
        let _ = second.read_to_string(&mut text);
        text.contains("lines were lost here").then_some(())
    });
    ends(site);
}

/// Processes that an earlier supervisor left are stopped and every service starts, although no
/// message about them can be written.
#[test]
fn leftovers_are_dealt_with_although_nobody_can_be_told() {
    let mut site = site();
    site.start_ready();
    let (keeper, control) = (site.keeper_pid(), site.control_pid());
    let left = site.status().pid("a");
    kill(keeper, Signal::SIGSTOP);
    kill(control, Signal::SIGKILL);
    kill(keeper, Signal::SIGKILL);
    assert_eq!(site.wait_end(mattervisor_tests::LIMIT), 128 + 9);
    assert!(alive(left));
    site.init_messages();
    site.stderr(File::options().write(true).open("/dev/full").unwrap());
    site.start_ready();
    assert!(!alive(left));
    everything_works(&site);
    ends(site);
}
