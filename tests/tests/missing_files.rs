//! Directories and files of a service that somebody has removed are there again at its next start.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use mattervisor_tests::{Site, StatusExt, kill, need, nginx, postgres};
use nix::sys::signal::Signal;

use crate::stack::Stack;

/// A service with a directory and a checked file in it, which reads both when it starts.
fn site() -> Site {
    let mut site = Site::new();
    let dir = site.file("run/app");
    let more = format!(
        r#"
            [[directories]]
            path = "{dir}"
            mode = "0711"
            [[files]]
            path = "{dir}/conf"
            content = "word: fine\n"
            validate = ["/bin/grep", "word", "{{{{ candidate }}}}"]
        "#
    );
    let verbs = [format!("file={dir}/started"), "sleep".to_owned()];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    let more = format!("validate = ['/bin/grep', 'word', '{dir}/conf']\n{more}");
    site.child("app", &verbs, &more);
    site.child("other", &["sleep"], "");
    site.start_ready();
    site
}

fn is_whole(dir: &Path) -> bool {
    let mode = |path: &Path| fs::metadata(path).map(|it| it.permissions().mode() & 0o7777);
    mode(dir).is_ok_and(|mode| mode == 0o711)
        && fs::read_to_string(dir.join("conf")).is_ok_and(|text| text == "word: fine\n")
}

#[test]
fn what_was_removed_is_made_again_at_each_kind_of_start_and_said() {
    let site = site();
    let dir = site.path("run/app");
    assert!(is_whole(&dir));

    site.ctl(&["stop", "app"]).ok();
    fs::remove_dir_all(&dir).unwrap();
    site.ctl(&["start", "app"]).ok();
    assert!(is_whole(&dir));
    let events = site.ctl(&["events"]).ok().stdout;
    let made = format!("made again what was missing: {}", dir.display());
    assert!(events.contains(&made), "{events}");

    fs::remove_file(dir.join("conf")).unwrap();
    site.ctl(&["restart", "app"]).ok();
    assert!(is_whole(&dir));

    fs::remove_dir_all(&dir).unwrap();
    let pid = site.status().pid("app");
    kill(pid, Signal::SIGKILL);
    site.wait_for("it is back", |status| {
        status.ready("app") && status.service("app").pid != Some(pid)
    });
    assert!(is_whole(&dir));
    assert!(!site.supervisor_log().contains("ERROR"));
}

/// A start leaves a file that somebody has changed; the next reconfigure writes it anew.
#[test]
fn a_file_that_is_there_is_left_as_it_is_by_a_start() {
    let site = site();
    let conf = site.path("run/app/conf");
    fs::write(&conf, "word: by hand\n").unwrap();
    site.ctl(&["restart", "app"]).ok();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "word: by hand\n");
    let names = fs::read_dir(site.path("run/app")).unwrap().count();
    assert_eq!(names, 2, "only the file and what the service wrote");
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "word: fine\n");
}

/// A directory that cannot be made again fails its service alone, and the reason names it.
#[test]
fn what_cannot_be_made_again_is_the_reason() {
    let site = site();
    let dir = site.path("run/app");
    site.ctl(&["stop", "app"]).ok();
    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    site.ctl(&["start", "app"]).expect_code(1);
    let why = site.ctl(&["why", "app"]).stdout;
    assert!(
        why.contains("cannot make directory") && why.contains("run/app"),
        "{why}"
    );
    assert!(site.status().ready("other"));
    fs::remove_file(&dir).unwrap();
    site.ctl(&["start", "app"]).ok();
    assert!(is_whole(&dir));
}

#[test]
fn a_reconfigure_that_only_makes_a_directory_says_so() {
    let site = site();
    let dir = site.file("run/app");
    site.child(
        "other",
        &["sleep"],
        &format!("[[directories]]\npath = '{dir}/more'\n"),
    );
    site.ctl(&["reconfigure"]).ok();
    fs::remove_dir(format!("{dir}/more")).unwrap();
    let told = site.ctl(&["reconfigure"]).ok().stdout;
    assert!(
        told.contains(&format!("made directory {dir}/more")),
        "{told}"
    );
    assert!(!told.contains("nothing has changed"), "{told}");
    let told = site.ctl(&["reconfigure"]).ok().stdout;
    assert!(told.contains("nothing has changed"), "{told}");
}

/// A cleaner of temporary files may remove the run directories of the shipped services.
#[test]
fn the_shipped_services_start_again_after_their_run_directories_are_gone() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let site = &stack.site;
    site.ctl(&["stop", "postgresql"]).ok();
    fs::remove_dir_all(site.path("run/mattervisor/postgresql")).unwrap();
    site.ctl(&["start", "postgresql"]).ok();
    fs::remove_dir_all(site.path("run/mattervisor/nginx")).unwrap();
    site.ctl(&["restart", "nginx"]).ok();
    site.wait_for("all is ready", |status| {
        ["postgresql", "mattermost", "nginx"]
            .iter()
            .all(|name| status.ready(name))
    });
}

/// A missing program is reported before the start, fails its service alone, and names what installs
/// it.
#[test]
fn a_program_that_is_missing_fails_its_service_alone_and_says_what_brings_it() {
    let mut site = Site::new();
    let bin = site.file("opt/bin");
    let found = "{{ [binary, '-c', 'exec sleep 1000'] + [] }}";
    site.service(
        "found",
        &format!(
            r#"
                command = "{found}"
                [settings]
                binary = {{ type = "path", find = ["{bin}/found"], find_hint = "install it: get found" }}
            "#
        ),
    );
    let brings = "command_hint = 'unpack it there'\n";
    site.service("named", &format!("command = ['{bin}/named']\n{brings}"));
    site.child(
        "placed",
        &["sleep"],
        &format!(
            r#"
                working_dir = "{bin}"
                validate = ["/bin/true"]
                {brings}
            "#
        ),
    );
    site.child("other", &["sleep"], "");
    let lacks = format!("binary was not found; looked for {bin}/found; install it: get found");
    let told = site.ctl(&["check-config"]).ok().both();
    for said in [
        format!("`found` cannot run on this host: {lacks}"),
        format!("command: there is no program {bin}/named\n  hint: unpack it there"),
        format!("working_dir: there is no directory {bin}\n  hint: unpack it there"),
    ] {
        assert!(told.contains(&said), "{said}\n{told}");
    }
    site.start();
    site.wait_for("the others are ready", |status| status.ready("other"));
    for (name, said) in [
        ("found", lacks + "; mend it, then: ctl reconfigure"),
        (
            "named",
            format!("cannot execute {bin}/named: No such file or directory; unpack it there"),
        ),
        (
            "placed",
            format!(
                "cannot enter its working directory {bin}: No such file or directory; unpack it there"
            ),
        ),
    ] {
        let status = site.wait_state(name, "failed");
        let reason = status.service(name).reason.clone().unwrap_or_default();
        assert!(reason.contains(&said), "{name}: {reason}");
        let why = site.ctl(&["why", name]).both();
        assert!(why.contains(&said), "{why}");
    }
    fs::create_dir_all(&bin).unwrap();
    for name in ["found", "named"] {
        let program = format!("{bin}/{name}");
        fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    site.ctl(&["reconfigure"]).ok();
    site.ctl(&["start", "named", "placed"]).ok();
    site.wait_for("all run", |status| {
        ["found", "named", "placed"]
            .iter()
            .all(|name| status.ready(name))
    });
}
