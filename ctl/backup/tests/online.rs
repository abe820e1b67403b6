//! Backups while a user posts files. A backup shows one moment of the database, and each row in it
//! has its file.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use common::{Supervisor, World, held, hold, output, pid, spawn};
use mattervisor_backup::Step;
use nix::sys::signal::{Signal, kill};
use serde_json::json;

const DATABASE: &str = "matter most";

/// A database session of Mattermost.
struct Session {
    psql: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn open(world: &World) -> Self {
        let mut psql = world.postgres.command("psql", DATABASE);
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]);
        let mut psql = spawn(psql.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (input, output) = (psql.stdin.take(), psql.stdout.take().unwrap());
        let output = BufReader::new(output);
        Self {
            psql,
            input,
            output,
        }
    }

    /// Posts a file as Mattermost does: the file first, then its rows.
    fn post(&mut self, world: &World, number: u32) {
        let path = format!("data/20261130/{number}");
        let content = format!("content of {number} {}", "x".repeat(2000));
        world.file(&path, content.as_bytes());
        let sql = format!(
            "BEGIN; INSERT INTO fileinfo VALUES ({number}, '{path}', md5('{content}')); \
             INSERT INTO posts VALUES ({number}, {number}, repeat('message ', 200)); COMMIT; SELECT 'posted';\n"
        );
        let input = self.input.as_mut().unwrap();
        input.write_all(sql.as_bytes()).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "posted\n");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.psql.wait();
    }
}

fn count(world: &World) -> u32 {
    let query = "SELECT count(*) FROM posts JOIN fileinfo ON fileid = fileinfo.id";
    world.postgres.ask(DATABASE, query).parse().unwrap()
}

#[test]
fn each_post_of_an_online_backup_has_its_file() {
    let world = World::new();
    world.postgres.ask(
        DATABASE,
        "SET ROLE mattermost; CREATE TABLE fileinfo (id int PRIMARY KEY, path text, sum text); \
         CREATE TABLE posts (id int PRIMARY KEY, fileid int, message text)",
    );
    world.postgres.ask(
        DATABASE,
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO postgres",
    );
    let supervisor = Supervisor::start(&world, || {});
    let mut session = Session::open(&world);
    let mut number = 0;
    let mut post = |session: &mut Session, posts: u32| {
        for _ in 0..posts {
            number += 1;
            session.post(&world, number);
        }
    };
    post(&mut session, 300);
    let mut job = world.request("one", &json!({ "mode": "online" }));
    let steps: Vec<Step> = Step::CREATE
        .into_iter()
        .filter(|step| {
            let other = [Step::StopMattermost, Step::StartMattermost, Step::Verify];
            !other.contains(step)
        })
        .collect();
    hold(&world.job(), steps[0]);
    let mut job = spawn(&mut job);
    // Some posts certainly happen at each step, and between the steps as many as there is time for.
    for next in steps.iter().skip(1).map(Some).chain([None]) {
        held(&job);
        post(&mut session, 20);
        if let Some(next) = next {
            hold(&world.job(), *next);
        }
        kill(pid(&job), Signal::SIGCONT).unwrap();
        post(&mut session, 20);
    }
    assert!(job.wait().unwrap().success(), "{}", world.result());
    drop(session);
    let posted = count(&world);
    assert_eq!(posted, number);
    fs::remove_dir_all(world.home().join("data/20261130")).unwrap();

    let backup = world.result()["report"]["file"].clone();
    let arguments = json!({ "operation": "restore", "file": backup });
    let mut job = world.restore("two", &arguments);
    job.env("MATTERVISOR_SOCKET", &supervisor.socket);
    assert!(output(&mut job).status.success(), "{}", world.restored());
    let restored = count(&world);
    assert!(
        restored > 300,
        "nothing was posted before its moment: {restored}"
    );
    assert!(restored < posted, "nothing was posted after its moment");
    let rows = world
        .postgres
        .ask(DATABASE, "SELECT path, sum FROM fileinfo");
    assert_eq!(rows.lines().count(), usize::try_from(restored).unwrap());
    for row in rows.lines() {
        let (path, wanted) = row.split_once('|').unwrap();
        let said = common::done(std::process::Command::new("md5sum").arg(world.home().join(path)));
        assert!(said.starts_with(wanted), "{path}: {said}");
    }
}
