//! Broken configuration files under a running supervisor: each is refused with a message, and no
//! service notices.
//!
//! The files are those of `tests/broken/`, whose messages `plan` compares with snapshots, and paths
//! without a readable file: a directory, a dangling link, a pipe, a device, a file that is too
//! large.

mod refusal;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use mattervisor_tests::{Site, StatusExt, eventually};
use nix::sys::signal::Signal;

use refusal::{Refusal, check};

const SITE: &str = "etc/mattervisor/mattervisor.toml";
const SERVICES: &str = "etc/mattervisor/services.d";

/// The address that a broken service file claims as well.
const NEIGHBOURS: &str = "127.77.7.7";

/// Two services, one with a rendered file, beside the shipped catalogue. The address comes from the
/// process id, since tests run in parallel and the supervisor tries an address before a start.
fn site() -> Site {
    let [high, low] = [8, 0].map(|shift| std::process::id() >> shift & 0xff);
    site_at(&format!("127.78.{high}.{low}"))
}

fn site_at(address: &str) -> Site {
    let mut site = Site::new();
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    site.use_catalog(&catalog);
    site.child(
        "neighbour",
        &["sleep"],
        &format!(
            "
                listens = ['{address}:7777']
                [settings]
                port = {{ type = 'port', default = 7777 }}
            "
        ),
    );
    let file = site.file("var/second.conf");
    site.child(
        "second",
        &["sleep"],
        &format!(
            "
                requires = ['neighbour']
                [[files]]
                path = '{file}'
                content = 'as it was'
            "
        ),
    );
    site
}

/// Where a broken file belongs, and its content.
type Broken = (PathBuf, Vec<u8>);

/// The broken files of a kind, each case with its name.
fn broken(kind: &str) -> Vec<(String, Vec<Broken>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("broken")
        .join(kind);
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let read = |path: &Path| fs::read(path).unwrap();
        let files = match kind {
            "site" => vec![(SITE.into(), read(&path))],
            _ if path.is_dir() => {
                let parts = fs::read_dir(&path).unwrap().map(|it| it.unwrap().path());
                let place = |part: &Path| Path::new(SERVICES).join(part.file_name().unwrap());
                parts.map(|part| (place(&part), read(&part))).collect()
            }
            _ => vec![(Path::new(SERVICES).join("app.toml"), read(&path))],
        };
        all.push((name, files));
    }
    assert!(all.len() >= 20, "too few broken {kind} files");
    all.sort();
    all
}

fn every_file_is_refused(kind: &str) {
    let mut site = if kind == "service" {
        site_at(NEIGHBOURS)
    } else {
        site()
    };
    site.start_ready();
    let refusal = Refusal::of(&site);
    for (name, parts) in broken(kind) {
        for (path, content) in &parts {
            fs::write(site.path(path.to_str().unwrap()), content).unwrap();
        }
        check(&site, &name, "");
        for (path, _) in &parts {
            fs::remove_file(site.path(path.to_str().unwrap())).unwrap();
        }
        site.site_file("");
        refusal.nothing_has_changed(&site, &name);
    }
    let told = site.ctl(&["reconfigure"]).ok();
    assert!(
        told.stdout.contains("nothing has changed"),
        "{}",
        told.both()
    );
    refusal.nothing_has_changed(&site, "mended");
    site.ctl(&["status"]).ok();
}

#[test]
fn a_broken_site_file_changes_nothing_that_runs() {
    every_file_is_refused("site");
}

#[test]
fn a_broken_service_file_changes_nothing_that_runs() {
    every_file_is_refused("service");
}

/// A path that is no regular file, or a file that is too large or too deeply nested, in place of
/// each configuration file.
#[test]
fn what_is_no_file_changes_nothing_that_runs() {
    let mut site = site();
    site.start_ready();
    let refusal = Refusal::of(&site);
    let site_file = site.path(SITE);
    let service = site.path(SERVICES).join("app.toml");
    let secrets = site.path("etc/mattervisor/secrets.toml");
    for path in [&site_file, &service, &secrets] {
        let name = path.display().to_string();
        let _ = fs::remove_file(path);
        let shown = |what: &str| format!("{name}: error: cannot read the file: {what}");

        fs::create_dir(path).unwrap();
        check(&site, &name, &shown("it is a directory"));
        fs::remove_dir(path).unwrap();

        symlink("/nowhere/at/all", path).unwrap();
        check(
            &site,
            &name,
            &shown("it is a link to a file that is not there"),
        );
        fs::remove_file(path).unwrap();

        symlink(path, path).unwrap();
        check(&site, &name, &shown(""));
        fs::remove_file(path).unwrap();

        symlink("/dev/zero", path).unwrap();
        check(&site, &name, &shown("/dev/zero is not a regular file"));
        fs::remove_file(path).unwrap();

        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let fifo = format!("{} is not a regular file", path.display());
        check(&site, &name, &shown(&fifo));
        fs::remove_file(path).unwrap();

        fs::write(path, vec![b'#'; 10 << 20]).unwrap();
        check(
            &site,
            &name,
            &format!("{name}: error: the file is larger than 1 MiB"),
        );
        fs::remove_file(path).unwrap();

        fs::write(path, format!("a = {}\n", "[".repeat(200_000))).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        check(&site, &name, &format!("{name}:1: error: not TOML"));
        fs::remove_file(path).unwrap();

        if !nix::unistd::geteuid().is_root() {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
            check(&site, &name, &shown("permission denied"));
            fs::remove_file(path).unwrap();
        }
        site.site_file("");
        refusal.nothing_has_changed(&site, &name);
    }
}

/// A file with a secret that other accounts can read is refused.
#[test]
fn secrets_that_others_can_read_are_refused() {
    let mut site = site();
    site.start_ready();
    let refusal = Refusal::of(&site);
    let (site_file, secrets) = (site.path(SITE), site.path("etc/mattervisor/secrets.toml"));
    let secret = "mattermost.gitlab_secret = 'hush1234'\n";
    site.site_file(secret);
    fs::set_permissions(&site_file, fs::Permissions::from_mode(0o644)).unwrap();
    check(
        &site,
        "site",
        "mattermost.gitlab_secret: the file holds this secret, but others can read it (mode 0644)",
    );
    site.site_file("");
    fs::write(&secrets, secret).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o640)).unwrap();
    check(
        &site,
        "secrets.toml",
        "others can get at the file (mode 0640); it must be 0600",
    );
    fs::remove_file(&secrets).unwrap();
    refusal.nothing_has_changed(&site, "secrets");
}

/// SIGHUP with broken files changes nothing, and status warns until the files are mended.
#[test]
fn sighup_with_broken_files_changes_nothing_and_is_shown() {
    let mut site = site();
    site.start_ready();
    let refusal = Refusal::of(&site);
    let log = || fs::read_to_string(site.path("supervisor.log")).unwrap();
    for (index, line) in [
        "mattermost_external_url = 'ftp://x'",
        "mattermost['uid'] = 1234",
        "matermost.uid = 1",
    ]
    .iter()
    .enumerate()
    {
        site.site_file(&format!("{line}\n"));
        site.signal(Signal::SIGHUP);
        eventually("the refusal is logged", || {
            let refusals = log()
                .matches("ERROR reconfigure: the configuration does not check")
                .count();
            (refusals > index).then_some(())
        });
        let status = site.wait_for("it is shown", |status| {
            status
                .supervisor
                .warnings
                .iter()
                .any(|it| it.contains("refused"))
        });
        assert_eq!(status.services.iter().filter(|it| it.enabled).count(), 2);
        site.site_file("");
        refusal.nothing_has_changed(&site, line);
    }
    site.ctl(&["reconfigure"]).ok();
    site.wait_for("it is no longer shown", |status| {
        !status
            .supervisor
            .warnings
            .iter()
            .any(|it| it.contains("refused"))
    });
    refusal.nothing_has_changed(&site, "mended");
}

/// With a broken site file the supervisor starts with the last good plan and logs the message;
/// without a stored plan it exits with 78.
#[test]
fn at_the_start_the_last_good_plan_runs_or_there_is_none() {
    let mut site = site();
    site.start_ready();
    assert_eq!(site.stop(), 0);
    site.site_file("mattermost['uid'] = 1234\n");
    site.start();
    let status = site.wait_for("both run", |status| {
        status.ready("neighbour") && status.ready("second")
    });
    let warnings = status.supervisor.warnings.join("\n");
    assert!(warnings.contains("was refused"), "{warnings}");
    let log = site.supervisor_log();
    let said = "mattervisor.toml:1: error: not TOML: this is Ruby";
    assert!(log.contains(said), "{log}");
    assert_eq!(site.stop(), 0);

    let fresh = Site::new();
    fresh.site_file("mattermost['uid'] = 1234\n");
    let mut child = fresh.spawn_supervisor();
    let ended = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(78), "{}", fresh.supervisor_log());
    let log = fresh.supervisor_log();
    assert!(log.contains(said) && log.contains("ever worked"), "{log}");
}

/// A port in use is found before exec and its holder is named; once the port is free, the service
/// starts.
#[test]
fn a_port_in_use_names_its_holder() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut site = Site::new();
    site.child("app", &["sleep"], &format!("listens = ['{address}']\n"));
    site.start();
    let said = format!("{address} is in use by");
    let holder = format!("(pid {})", std::process::id());
    let status = site.wait_for("app waits for its port", |status| {
        let reason = status.service("app").reason.clone().unwrap_or_default();
        reason.contains(&said)
    });
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(reason.contains(&holder), "{reason}");
    drop(listener);
    site.wait_state("app", "running");
}

/// A failed start names the interpreter, directory or program that is missing; `check-config` warns
/// of a missing directory or program beforehand.
#[test]
fn what_a_program_lacks_is_named() {
    let mut site = Site::new();
    let script = |name: &str, text: &str| {
        let path = site.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        site.service(name, &format!("command = ['{}']\n", path.display()));
    };
    script("carriage", "#!/bin/sh\r\nsleep 1000\r\n");
    script("foreign", "#!/no/such/interpreter\n");
    let dir = site.file("nowhere");
    site.child("lost", &["sleep"], &format!("working_dir = '{dir}'\n"));
    site.service("gone", "command = ['/no/such/program']\n");
    let checked = site.ctl(&["check-config"]).ok().both();
    for said in [
        format!("warning: working_dir: there is no directory {dir}"),
        "warning: command: there is no program /no/such/program".to_owned(),
    ] {
        assert!(checked.contains(&said), "{said}\n{checked}");
    }
    site.start();
    for (name, said) in [
        ("carriage", "its first line ends with a carriage return"),
        (
            "foreign",
            "its interpreter /no/such/interpreter is not there",
        ),
        (
            "lost",
            &format!("cannot enter its working directory {dir}: No such file"),
        ),
        ("gone", "cannot execute /no/such/program: No such file"),
    ] {
        let status = site.wait_state(name, "failed");
        let reason = status.service(name).reason.clone().unwrap_or_default();
        assert!(reason.contains(said), "{name}: {reason}");
    }
    // A reconfigure starts a service whose script is mended.
    let path = site.path("foreign");
    fs::write(path, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    site.ctl(&["reconfigure"]).ok();
    site.wait_state("foreign", "running");
}
