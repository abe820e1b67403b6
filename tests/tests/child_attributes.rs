//! Attributes of a service's process: ids, limits, masks, environment.

use std::collections::BTreeMap;

use mattervisor_tests::{Site, StatusExt, command_line, skip};
use nix::unistd::geteuid;

/// The values that the `id` verb of a service has printed.
fn identity(site: &Site, service: &str) -> BTreeMap<String, String> {
    site.wait_log(service, |line| line == "id-end");
    let log = site.log(service);
    let pairs = log.iter().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The nice value that this process has inherited.
fn own_nice() -> i32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name in parentheses may hold spaces; nice is the 17th field after it.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(16).unwrap().parse().unwrap()
}

fn own_oom_score_adj() -> i32 {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    own.trim().parse().unwrap()
}

/// A service whose file sets no attribute is a clean child: a session of its own, no signal ignored
/// or blocked, no descriptors but the three standard ones, and no trace of the supervisor's own
/// notify socket.
#[test]
fn a_plain_child_is_clean() {
    let mut site = Site::new();
    site.service(
        "masks",
        "command = ['/bin/grep', 'Sig', '/proc/self/status']\ntype = 'oneshot'\n",
    );
    site.child("a", &["id", "env", "sleep"], "");
    site.start_ready();
    let id = identity(&site, "a");
    assert_eq!(id["sid_is_pid"], "true");
    assert_eq!(id["stdin"], "/dev/null");
    assert_eq!(id["same_log"], "true");
    assert_eq!(id["fds"], "0,1,2", "descriptors leak");
    assert_eq!(id["cwd"], "/");
    assert_eq!(id["SigBlk"], "0000000000000000");
    site.wait_log("masks", |line| {
        line.starts_with("SigIgn") && line.ends_with("0000000000000000")
    });
    site.wait_log("masks", |line| {
        line.starts_with("SigBlk") && line.ends_with("0000000000000000")
    });
    site.wait_log("a", |line| line == "env-end");
    let log = site.log("a");
    assert!(
        !log.iter().any(|line| line.starts_with("NOTIFY_SOCKET=")),
        "the daemon's own socket leaks: {log:#?}"
    );
}

/// umask, limits, nice, oom score, working directory, no new privileges.
#[test]
fn limits_and_masks_are_as_asked() {
    let mut site = Site::new();
    let cwd = site.file("etc");
    // Without root both may only be raised.
    let nice = (own_nice() + 5).min(19);
    let oom_score_adj = (own_oom_score_adj() + 321).min(1000);
    let more = format!(
        r#"
            working_dir = "{cwd}"
            umask = "0027"
            nice = {nice}
            oom_score_adj = {oom_score_adj}
            no_new_privs = true
            [limits]
            nofile = 123
        "#
    );
    site.child("a", &["id", "sleep"], &more);
    site.start_ready();
    let id = identity(&site, "a");
    assert_eq!(id["umask"], "0027");
    assert_eq!(id["nice"], nice.to_string());
    assert_eq!(id["oom_score_adj"], oom_score_adj.to_string());
    assert_eq!(id["NoNewPrivs"], "1");
    assert!(id["nofile"].starts_with("123,"), "{}", id["nofile"]);
    assert_eq!(id["cwd"], cwd);
}

/// Standard input, CPU affinity and I/O priority.
#[test]
fn turns_and_standard_input_are_as_asked() {
    let mut site = Site::new();
    let input = site.file("etc/input");
    std::fs::create_dir_all(site.file("etc")).unwrap();
    std::fs::write(&input, "said before\n").unwrap();
    site.service(
        "cat",
        &format!(
            r#"
                command = ["/bin/cat"]
                type = "oneshot"
                stdin = "{input}"
            "#
        ),
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
    let first = allowed.unwrap().split(['-', ',']).next().unwrap();
    site.service(
        "turns",
        &format!(
            r#"
                command = ["/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status; ionice -p $$"]
                type = "oneshot"
                cpu_affinity = [{first}]
                io_priority = "best-effort:6"
            "#
        ),
    );
    site.start_ready();
    site.wait_log("cat", |line| line == "said before");
    site.wait_log("turns", |line| {
        line == format!("Cpus_allowed_list:\t{first}")
    });
    site.wait_log("turns", |line| line == "best-effort: prio 6");
}

/// A process runs with the ids of its user, without capabilities and without any supplementary
/// group of the supervisor's.
#[test]
fn user_and_groups_are_dropped() {
    if !geteuid().is_root() {
        skip!("needs root to become another user");
    }
    let mut site = Site::new();
    site.child("a", &["id", "sleep"], "user = 'nobody'");
    site.child(
        "b",
        &["id", "sleep"],
        r#"
            user = "nobody"
            group = "daemon"
            groups = ["mail"]
        "#,
    );
    site.start_ready();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let group = |name: &str| {
        nix::unistd::Group::from_name(name)
            .unwrap()
            .unwrap()
            .gid
            .to_string()
    };
    let id = identity(&site, "a");
    assert_eq!(
        (id["uid"].as_str(), id["gid"].as_str()),
        (
            nobody.uid.to_string().as_str(),
            nobody.gid.to_string().as_str()
        )
    );
    assert_eq!(id["CapEff"], "0000000000000000");
    assert!(
        !id["groups"].split(',').any(|group| group == "0"),
        "{}",
        id["groups"]
    );
    let id = identity(&site, "b");
    assert_eq!(id["gid"], group("daemon"));
    assert!(
        id["groups"].split(',').any(|have| have == group("mail")),
        "{}",
        id["groups"]
    );
    assert_eq!(site.status().service("a").user.as_deref(), Some("nobody"));
}

/// After the change of user the process has the capability that its service names, and no other.
#[test]
fn a_low_port_needs_one_capability() {
    if !geteuid().is_root() {
        skip!("needs root to hand out capabilities");
    }
    let mut site = Site::new();
    site.child(
        "a",
        &["id", "sleep"],
        "user = 'nobody'\ncapabilities = ['net_bind_service']",
    );
    site.start_ready();
    let id = identity(&site, "a");
    assert_eq!(id["CapEff"], "0000000000000400");
    assert_eq!(id["CapAmb"], "0000000000000400");
    assert_eq!(id["CapBnd"], "0000000000000400");
}

/// A user that does not exist fails its own service alone, and the reason names the user.
#[test]
fn an_unknown_user_fails_that_service_alone() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become another user");
    }
    let mut site = Site::new();
    site.site_file("manage_accounts.enable = false\n");
    site.child("a", &["sleep"], "user = 'nosuchuser'");
    site.child("b", &["sleep"], "");
    site.start_ready();
    let status = site.status();
    assert_eq!(status.state("a"), "failed");
    assert!(
        status
            .service("a")
            .reason
            .clone()
            .unwrap_or_default()
            .contains("nosuchuser"),
        "{:#?}",
        status.service("a")
    );
    assert!(status.ready("b"));
}

/// A port in use is noticed before exec, and the reason names its holder.
#[test]
fn a_port_in_use_is_named_with_its_holder() {
    let mut site = Site::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = site.file("stamps");
    site.child(
        "a",
        &[&format!("file={file}"), "sleep"],
        &format!("listens = ['127.0.0.1:{port}']"),
    );
    site.start();
    let status = site.wait_for("the port is found in use", |status| {
        matches!(status.state("a"), "backoff" | "failed")
    });
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains(&port.to_string()), "{reason}");
    let me = std::process::id();
    let named = reason.contains(&me.to_string())
        || command_line(i32::try_from(me).unwrap())
            .split('/')
            .any(|part| reason.contains(part));
    assert!(named, "the holder is not named: {reason}");
    assert!(
        !std::path::Path::new(&file).exists(),
        "it was executed all the same"
    );
    drop(listener);
    site.ctl(&["start", "a"]).ok();
}
