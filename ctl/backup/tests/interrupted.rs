//! A backup that is killed, cancelled or runs out of room leaves no file with a backup's name, and
//! the next attempt succeeds without any repair.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    fs,
    io::Read as _,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Stdio},
};

use api::{ActionResult, ServiceState, Verdict};
use common::{Heard, Supervisor, World, done, held, hold, outcome, output, pid, spawn};
use mattervisor_backup::Step;
use nix::sys::signal::{Signal, kill};
use serde_json::json;

/// A machine with enough data that each step takes a while.
fn filled() -> World {
    let world = World::new();
    world.postgres.ask(
        "matter most",
        "SET ROLE mattermost; CREATE TABLE posts (id int, filler text); \
         INSERT INTO posts SELECT n, md5(n::text) || md5(n::text || 'x') FROM generate_series(1, 60000) n",
    );
    let noise: Vec<u8> = (0..400_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for number in 0..40 {
        world.file(format!("data/file{number}"), &noise[number..]);
    }
    world
}

/// After SIGKILL every file with a backup's name is a good backup, and the supervisor's repeat of
/// the request makes the backup.
#[test]
fn killed_at_each_step_it_leaves_nothing_and_the_next_try_works() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    for step in Step::CREATE {
        let arguments = json!({ "mode": "offline", "verify": true });
        let request = || {
            let mut job = world.request(step.words(), &arguments);
            job.env("MATTERVISOR_SOCKET", &supervisor.socket);
            job
        };
        let mut job = request();
        hold(&world.job(), step);
        let mut job = spawn(&mut job);
        held(&job);
        kill(pid(&job), Signal::SIGKILL).unwrap();
        job.wait().unwrap();
        let is_whole = |name: &String| !name.starts_with('.');
        let whole = world.names().into_iter().filter(is_whole);
        let whole: Vec<String> = whole.collect();
        let is_made = [Step::StartMattermost, Step::Verify].contains(&step);
        assert_eq!(whole.len(), usize::from(is_made), "{step:?}: {whole:?}");
        done(&mut request());
        let names = world.names();
        assert_eq!(names.len(), 1, "{step:?}: {names:?}");
        assert!(!is_made || whole == names, "{step:?}: {names:?}");
        done(world.program(&["backup", "verify"]).arg(&names[0]));
        fs::remove_file(world.to.join(&names[0])).unwrap();
    }
}

#[test]
fn killed_after_its_work_it_does_not_do_it_twice() {
    let world = filled();
    done(&mut world.request("one", &json!({})));
    let file = world.result()["report"]["file"].clone();
    fs::remove_file(world.job().join("result.json")).unwrap();
    done(&mut world.request("one", &json!({})));
    assert_eq!(world.result()["report"]["file"], file);
    assert_eq!(world.names().len(), 1);
    done(&mut world.request("two", &json!({})));
    assert_eq!(world.names().len(), 2);
}

#[test]
fn sigterm_ends_it_soon_and_nothing_is_left() {
    let world = filled();
    // Another session has locked a table, and pg_dump waits for the lock.
    let mut lock = world.postgres.command("psql", "matter most");
    lock.args(["-Xq"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut lock = spawn(&mut lock);
    let mut input = lock.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN; LOCK TABLE posts; SELECT 'locked';\n").unwrap();
    lock.stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0; 1])
        .unwrap();

    let mut job = world.request("one", &json!({}));
    let heard = Heard::listen(&world, &mut job);
    let mut job = spawn(&mut job);
    heard.step(Step::DumpDatabase);
    kill(pid(&job), Signal::SIGTERM).unwrap();
    assert_eq!(job.wait().unwrap().code(), Some(1));
    assert_eq!(world.result()["message"], "cancelled");
    assert_eq!(world.names(), <[String; 0]>::default());
    drop(input);
    lock.wait().unwrap();
}

#[test]
fn two_at_once_are_refused() {
    let world = filled();
    let mut job = world.request("one", &json!({}));
    let heard = Heard::listen(&world, &mut job);
    let mut job = spawn(&mut job);
    heard.step(Step::CountFiles);
    kill(pid(&job), Signal::SIGSTOP).unwrap();
    let mut other = world.request("two", &json!({}));
    assert_eq!(output(&mut other).status.code(), Some(1));
    let said = world.result()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("another backup is being made"), "{said}");
    kill(pid(&job), Signal::SIGCONT).unwrap();
    assert!(job.wait().unwrap().success());
}

/// A directory with room for this many bytes, unmounted on drop.
struct Small(PathBuf);

impl Small {
    fn mount(world: &World, bytes: u64) -> Self {
        let to = world.to.clone();
        let size = format!("size={bytes},mode=0700");
        done(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(&to),
        );
        Self(to)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        output(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    if !nix::unistd::geteuid().is_root() {
        skip::skip!("only root can mount a small disk");
    }
    let world = filled();
    let small = Small::mount(&world, 40 << 20);
    // The check for room finds too little before the backup begins.
    assert_eq!(
        output(&mut world.request("one", &json!({}))).status.code(),
        Some(1)
    );
    let said = world.result()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("free, and the backup may need"), "{said}");
    drop(small);

    // The disk fills up while the backup is made.
    let small = Small::mount(&world, 200 << 20);
    let mut job = world.request("two", &json!({}));
    let heard = Heard::listen(&world, &mut job);
    let mut job = spawn(&mut job);
    heard.step(Step::DumpDatabase);
    kill(pid(&job), Signal::SIGSTOP).unwrap();
    output(
        Command::new("dd")
            .args(["if=/dev/zero", "bs=1M", "status=none"])
            .arg(format!("of={}/full", world.to.display())),
    );
    kill(pid(&job), Signal::SIGCONT).unwrap();
    assert_eq!(job.wait().unwrap().code(), Some(1));
    let said = world.result()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("No space left"), "{said}");
    assert_eq!(world.names(), ["full"]);
    fs::remove_file(world.to.join("full")).unwrap();
    let backup = world.create(&json!({}));
    done(world.program(&["backup", "verify"]).arg(backup));
    drop(small);
}

/// A fake supervisor that reports the stop and the start of Mattermost, and records the requests.
fn supervisor(world: &World, answers: usize, last: String) -> std::thread::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(world.dir.path().join("ctl.sock")).unwrap();
    std::thread::spawn(move || {
        let one = |stream: std::io::Result<std::os::unix::net::UnixStream>| {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            let mut buffer = [0; 4096];
            while !text.contains('}') {
                let read = stream.read(&mut buffer).unwrap();
                text += &String::from_utf8_lossy(&buffer[..read]);
            }
            let body = format!("{{\"progress\":\"accepted\"}}\n{last}\n");
            let answer = format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            );
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            let (first, rest) = text.split_once(" HTTP").unwrap();
            let (_, body) = rest.split_once("\r\n\r\n").unwrap();
            format!("{first} {body}")
        };
        listener.incoming().take(answers).map(one).collect()
    })
}

#[test]
fn offline_mattermost_is_stopped_meanwhile_and_started_again_on_every_path() {
    let world = filled();
    let socket = world.dir.path().join("ctl.sock");
    let asked = supervisor(&world, 2, outcome(Vec::new()));
    done(
        world
            .request("one", &json!({ "mode": "offline" }))
            .env("MATTERVISOR_SOCKET", &socket),
    );
    let lease = [
        r#"POST /v1/leases {"job":"backup","services":["mattermost"]}"#,
        r#"DELETE /v1/leases {"job":"backup"}"#,
    ];
    assert_eq!(asked.join().unwrap(), lease);

    // Mattermost does not stop: there is no backup, and the job releases the services again.
    fs::remove_file(&socket).unwrap();
    let failed = ActionResult {
        service: "mattermost".to_owned(),
        verdict: Verdict::Failed,
        state: Some(ServiceState::Stopping),
        pid: None,
        seconds: 0,
        state_in_full: None,
        detail: "did not end".to_owned(),
    };
    let asked = supervisor(&world, 2, outcome(vec![failed]));
    let mut job = world.request("two", &json!({ "mode": "offline" }));
    assert_eq!(
        output(job.env("MATTERVISOR_SOCKET", &socket)).status.code(),
        Some(1)
    );
    let said = world.result()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("mattermost stopping: did not end"), "{said}");
    assert_eq!(asked.join().unwrap(), lease);
    assert_eq!(world.names().len(), 1);

    // An error that the checks find does not stop Mattermost: the checks come first.
    fs::remove_file(&socket).unwrap();
    world.configure(&json!({ "account": "nobody-of-that-name" }));
    let mut job = world.request("three", &json!({ "mode": "offline" }));
    assert_eq!(
        output(job.env("MATTERVISOR_SOCKET", &socket)).status.code(),
        Some(1)
    );
    let said = world.result()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("there is no account"), "{said}");
}
