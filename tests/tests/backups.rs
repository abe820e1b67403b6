//! Backups of the whole stack: on request, by schedule, and the alert where none was made.

mod schedule;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mattervisor_tests::{
    Ctl, StatusExt, StatusReply, kill, need, nginx, postgres, run, run_for, skip,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{faults::Disk, stack::Stack};

const LIMIT: Duration = Duration::from_secs(180);
/// A secret of the site file, which neither a backup without secrets nor the output of `ctl` may
/// contain.
const PLANTED: &str = "planted-w3c-secret";

fn stack(bin: PathBuf, more: &str) -> Stack {
    let stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let path = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(&path).unwrap();
    stack.site.site_file(&format!("{site_file}{more}"));
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    stack
}

/// Fills the database, so that a backup takes long enough to be interrupted.
fn fill(stack: &Stack) {
    stack.sql(
        "INSERT INTO posts (id, message, rootid) SELECT left(md5(n::text) || md5(n::text), 26), \
         repeat(md5(random()::text), 20), '' FROM generate_series(1, 40000) n",
    );
}

fn ctl(stack: &Stack, arguments: &[&str]) -> Ctl {
    run_for(stack.site.ctl_command().args(arguments), LIMIT)
}

fn made(said: &Ctl) -> PathBuf {
    let path = said.stdout.trim().strip_prefix("made ");
    path.unwrap_or_else(|| panic!("{said:?}")).into()
}

/// Name and state of each backup, oldest first.
fn listed(stack: &Stack) -> Vec<(String, String)> {
    let all = ctl(stack, &["backup", "list", "--format", "json"]).ok();
    let all: Value = serde_json::from_str(&all.stdout).unwrap();
    assert!(all["safety"].is_null(), "nothing was restored");
    let all = all["backups"].as_array().unwrap();
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    all.iter()
        .map(|it| (text(&it["name"]), text(&it["state"])))
        .collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn starts(stack: &Stack) -> u32 {
    stack
        .sql("SELECT count(*) FROM standin_starts")
        .parse()
        .unwrap()
}

fn job(status: &StatusReply) -> &api::JobStatus {
    status.service("backup").job.as_ref().unwrap()
}

#[test]
fn backups_are_made_listed_verified_and_pruned() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = stack(bin, "");
    stack.start();
    let began = starts(&stack);
    let first = made(&ctl(&stack, &["backup", "create"]).ok());
    assert_eq!(starts(&stack), began, "Mattermost runs on");
    assert_eq!(listed(&stack), [(name(&first), "unverified".to_owned())]);
    let said = ctl(&stack, &["backup", "verify", "--deep"]).ok();
    assert!(
        said.stdout.contains("restored with all its rows"),
        "{said:?}"
    );
    assert_eq!(listed(&stack), [(name(&first), "good".to_owned())]);

    let second = made(&ctl(&stack, &["backup", "create", "--offline", "--verify"]).ok());
    assert!(stack.site.status().ready("mattermost"));
    assert_eq!(
        starts(&stack),
        began + 1,
        "it was stopped, and started once"
    );

    let told = ctl(&stack, &["backup", "prune", "--keep", "1", "--dry-run"]).ok();
    let wanted = format!("would remove {}", name(&first));
    assert!(told.stdout.contains(&wanted), "{told:?}");
    assert!(first.exists());
    ctl(&stack, &["backup", "prune", "--keep", "1"]).ok();
    assert_eq!(listed(&stack), [(name(&second), "good".to_owned())]);

    // With the newest backup damaged, verify and list report it, and prune removes nothing.
    let third = made(&ctl(&stack, &["backup", "create"]).ok());
    let mut bytes = fs::read(&third).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&third, bytes).unwrap();
    ctl(&stack, &["backup", "verify"]).expect_code(1);
    let states = listed(&stack);
    assert_eq!(states[1], (name(&third), "bad".to_owned()));
    let told = ctl(&stack, &["backup", "prune", "--keep", "1"]).ok();
    assert!(told.stdout.contains("nothing is removed"), "{told:?}");
    assert_eq!(listed(&stack).len(), 2);
}

/// The uncompressed bytes of the whole archive, the database included.
fn bytes_of(backup: &Path) -> Vec<u8> {
    let mut zstd = Command::new("zstd");
    zstd.arg("-dcq").arg(backup);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own child, and its bytes"
    )]
    let out = zstd.output().unwrap();
    assert!(out.status.success(), "{out:?}");
    out.stdout
}

#[test]
fn without_secrets_no_byte_of_the_file_is_one() {
    let bin = need!(postgres());
    need!(nginx());
    let site_file = format!("mattermost.gitlab_secret = '{PLANTED}'\n");
    let mut stack = stack(bin, &site_file);
    stack.start();
    let secrets = fs::read_to_string(stack.site.path("etc/mattervisor/secrets.toml")).unwrap();
    let secrets: toml::Table = secrets.parse().unwrap();
    let sections = secrets.values().filter_map(toml::Value::as_table);
    let values = sections
        .flat_map(|it| it.values())
        .filter_map(toml::Value::as_str);
    let mut secrets: Vec<&str> = values.collect();
    secrets.push(PLANTED);
    assert!(secrets.len() > 1, "{secrets:?}");
    let holds = |bytes: &[u8], secret: &str| {
        let mut windows = bytes.windows(secret.len());
        windows.any(|it| it == secret.as_bytes())
    };
    let with = bytes_of(&made(&ctl(&stack, &["backup", "create"]).ok()));
    for secret in &secrets {
        assert!(holds(&with, secret), "the search would find it");
    }
    let without = made(&ctl(&stack, &["backup", "create", "--without-secrets"]).ok());
    let without = bytes_of(&without);
    for secret in &secrets {
        assert!(!holds(&without, secret), "{secret}");
    }
}

/// Whichever processes are killed while Mattermost is stopped for a backup, Mattermost runs again
/// and the next backup succeeds.
#[test]
fn after_an_offline_backup_mattermost_runs_whatever_is_killed() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = stack(bin, "");
    stack.start();
    fill(&stack);
    let begin = |id: &str| {
        let body = json!({
            "id": id,
            "arguments": { "operation": "create", "mode": "offline" },
            "wait": false,
        });
        let reply = stack.site.ask("POST", "/v1/jobs/backup", &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        stack
            .site
            .wait_for_within(LIMIT, "Mattermost is down", |status| {
                let over = job(status).id.as_deref() == Some(id) && !job(status).active;
                status.state("mattermost") == "stopped" || over
            })
    };
    for victims in [
        &["backup"][..],
        &["control"],
        &["postgresql"],
        &["backup", "control"],
    ] {
        let status = begin(&victims.join("-"));
        for victim in victims {
            let pid = match *victim {
                "control" => Some(stack.site.control_pid()),
                service => status.service(service).pid,
            };
            if let Some(pid) = pid {
                kill(pid, Signal::SIGKILL);
            }
        }
        let context = format!("{victims:?} killed");
        stack.site.wait_for_within(LIMIT, &context, |status| {
            !job(status).active && status.ready("mattermost") && status.ready("postgresql")
        });
    }
    let last = made(&ctl(&stack, &["backup", "create", "--offline", "--verify"]).ok());
    let all = listed(&stack);
    assert_eq!(all.last(), Some(&(name(&last), "good".to_owned())));
    assert!(all.iter().all(|(_, state)| state != "bad"), "{all:?}");
    let dir = stack.site.path("var/lib/mattervisor/backups");
    let hidden = fs::read_dir(dir).unwrap().flatten();
    let hidden = hidden.filter(|it| {
        it.file_name()
            .as_encoded_bytes()
            .starts_with(b".mattermost-")
    });
    assert_eq!(hidden.count(), 0, "what killed runs left is gone");
}

#[test]
fn what_stands_against_a_backup_is_said_before_anything_stops() {
    let bin = need!(postgres());
    need!(nginx());
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut stack = stack(bin, "");
    stack.start();
    let began = starts(&stack);
    let small = stack.site.path("small");
    let disk = Disk::mount(&small, "1m");
    let small = small.to_str().unwrap();
    let missing = stack.site.file("missing");
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--onlin"], 2, "--online"),
        (&["--online", "--offline"], 2, "cannot be used with"),
        (
            &["--offline", "--to", "backups"],
            1,
            "name the directory for backups by a path that begins with /",
        ),
        (
            &["--offline", "--to", &missing],
            1,
            "No such file or directory",
        ),
        (
            &["--offline", "--to", small],
            1,
            "make room, or set backup.to",
        ),
    ];
    for (arguments, code, words) in cases {
        let all: Vec<&str> = ["backup", "create"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let said = ctl(&stack, &all).expect_code(code);
        assert!(said.stderr.contains(words), "{arguments:?}: {said:?}");
    }
    drop(disk);
    assert_eq!(starts(&stack), began, "nothing was stopped");
    // A failed backup to another directory is no failure of the schedule, so status does not warn.
    assert_eq!(stack.site.status().warnings(), [""; 0]);

    // An unprivileged user may neither make, list nor prune backups.
    for arguments in [
        &["backup", "create"][..],
        &["backup", "list"],
        &["backup", "prune"],
    ] {
        let own = stack.site.ctl_command();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        command
            .arg(own.get_program())
            .args(own.get_args())
            .args(arguments);
        let said = run(&mut command);
        let refused = said.code == 6 || said.stderr.contains("ermission denied");
        assert!(said.code != 0 && refused, "{said:?}");
    }

    // Without a supervisor no backup is made; existing backups are listed and verified all the
    // same.
    let made = made(&ctl(&stack, &["backup", "create"]).ok());
    stack.site.stop();
    ctl(&stack, &["backup", "create"]).expect_code(5);
    let to = made.parent().unwrap().to_str().unwrap();
    let there = ctl(&stack, &["backup", "list", "--to", to]).ok();
    assert!(there.stdout.contains(&name(&made)), "{there:?}");
    ctl(&stack, &["backup", "verify", made.to_str().unwrap()]).ok();
}

/// The current content of the site file.
fn site_file_of(stack: &Stack) -> String {
    let path = stack.site.path("etc/mattervisor/mattervisor.toml");
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_new_machine_gets_configuration_and_data_by_one_command() {
    let bin = need!(postgres());
    need!(nginx());
    let secret = format!("mattermost.gitlab_secret = '{PLANTED}'\n");
    let mut old = stack(bin.clone(), &secret);
    let own = "command = ['sleep', 'infinity']\n";
    old.site.service("own", own);
    old.start();
    fill(&old);
    let attachment = "var/lib/mattervisor/mattermost/data/attachment";
    fs::write(old.site.path(attachment), "saved").unwrap();
    let made = made(&ctl(&old, &["backup", "create"]).ok());
    assert_eq!(old.site.stop(), 0);

    let mut new = Stack::new(bin, "");
    let before = "# as the package brings it\n";
    new.site.site_file(before);
    let copy = new.site.file("backup.tar.zst");
    fs::copy(&made, &copy).unwrap();
    let all = ["restore", &copy, "--configuration", "--yes"];
    let said = ctl(&new, &all).expect_code(5);
    assert!(
        said.stderr.contains("start the supervisor first"),
        "{said:?}"
    );

    // A configuration that does not fit this machine is refused, and the old files are put back.
    let port = old.nginx_port;
    let clash = format!("{own}listens = ['127.0.0.1:{port}']\n");
    new.site.service("clash", &clash);
    new.site.start_ready();
    let said = ctl(&new, &all).expect_code(1);
    assert!(said.stderr.contains("cannot be this machine's"), "{said:?}");
    assert_eq!(site_file_of(&new), before);
    assert!(
        !new.site
            .path("etc/mattervisor/services.d/own.toml")
            .exists()
    );
    new.site.without("clash");
    ctl(&new, &["reconfigure"]).ok();

    // Without --yes and without a terminal, the command shows the change and refuses.
    let said = ctl(&new, &all[..3]).expect_code(2);
    assert!(
        said.stderr.contains("+ mattermost_external_url = "),
        "{said:?}"
    );
    assert_eq!(site_file_of(&new), before);

    let said = ctl(&new, &all).ok();
    let told = said.both();
    assert!(!told.contains(PLANTED), "{told}");
    assert!(told.contains("mattervisor.toml.1"), "{told}");
    assert_eq!(site_file_of(&new), site_file_of(&old));
    for name in ["secrets.toml", "services.d/own.toml"] {
        let name = format!("etc/mattervisor/{name}");
        let both = [&old, &new].map(|it| fs::read(it.site.path(&name)).unwrap());
        assert!(both[0] == both[1], "{name}");
    }
    let kept = new.site.path("etc/mattervisor/mattervisor.toml.1");
    assert_eq!(fs::read_to_string(kept).unwrap(), before);
    let status = new.site.status();
    assert!(
        ["own", "mattermost", "nginx"]
            .iter()
            .all(|it| status.ready(it))
    );
    assert_eq!(new.sql("SELECT count(*) FROM posts"), "40000");
    let restored = fs::read_to_string(new.site.path(attachment)).unwrap();
    assert_eq!(restored, "saved");

    // A second restore finds the configuration already in place.
    let said = ctl(&new, &all).ok().both();
    assert!(said.contains("that of this machine already"), "{said}");
}
