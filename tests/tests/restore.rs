//! Restores of the whole stack: a real `PostgreSQL`, the stand-in Mattermost, and processes that
//! are killed meanwhile.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use mattervisor_backup::Step;
use mattervisor_tests::{
    Site, StatusExt, StatusReply, kill, need, nginx, postgres, run, status_field, within,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::stack::{DATABASE, Stack};

const LIMIT: Duration = Duration::from_secs(180);

/// A stack with messages and a file, and a backup of it.
struct Saved {
    stack: Stack,
    backup: PathBuf,
}

impl Saved {
    fn make(bin: PathBuf) -> Self {
        let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '200'");
        stack.start();
        insert(&stack, "saved", 100_000);
        fs::write(file(&stack), "saved").unwrap();
        let made = stack.site.ctl(&["backup", "create"]).ok();
        let path = made.stdout.trim().strip_prefix("made ").unwrap().into();
        Self {
            stack,
            backup: path,
        }
    }

    /// Writes messages and a file after the backup, and returns the state with them.
    fn change(&self) -> (String, String) {
        insert(&self.stack, "later", 10);
        fs::write(file(&self.stack), "later").unwrap();
        state(&self.stack)
    }

    fn begin(&self, id: &str) {
        let body = json!({
            "id": id,
            "arguments": { "operation": "restore", "file": self.backup },
            "wait": false,
        });
        let reply = self.stack.site.ask("POST", "/v1/jobs/restore", &body);
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    fn restore(&self) {
        let file = self.backup.to_str().unwrap();
        let mut command = self.stack.site.ctl_command();
        command.args(["restore", file, "--yes"]);
        mattervisor_tests::run_for(&mut command, LIMIT).ok();
    }
}

fn insert(stack: &Stack, word: &str, count: u32) {
    stack.sql(&format!(
        "INSERT INTO posts (id, message, rootid) SELECT left('{word}' || md5(random()::text || n), 26), '{word}', '' \
         FROM generate_series(1, {count}) n"
    ));
}

fn file(stack: &Stack) -> PathBuf {
    stack.site.path("var/lib/mattervisor/mattermost/data/file")
}

fn state(stack: &Stack) -> (String, String) {
    let rows = stack.sql(
        "SELECT string_agg(message || count, ' ' ORDER BY message) FROM \
        (SELECT message, count(*) FROM posts GROUP BY 1) x",
    );
    (rows, fs::read_to_string(file(stack)).unwrap())
}

fn runs(status: &StatusReply) -> bool {
    ["postgresql", "mattermost", "nginx"]
        .iter()
        .all(|name| status.ready(name))
}

fn is_over(status: &StatusReply) -> bool {
    let job = status.service("restore").job.as_ref();
    job.is_none_or(|job| !job.active)
}

#[test]
fn a_restore_takes_the_place_of_what_there_is_and_is_undone() {
    let bin = need!(postgres());
    need!(nginx());
    let saved = Saved::make(bin);
    let (stack, site) = (&saved.stack, &saved.stack.site);
    let wanted = state(stack);
    let before = saved.change();
    let file = saved.backup.to_str().unwrap();

    // Without --yes and without a terminal the command refuses.
    let refused = site.ctl(&["restore", file]).expect_code(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    assert!(refused.stderr.contains("takes the place of"), "{refused:?}");
    assert_eq!(state(stack), before);

    let done = site.ctl(&["restore", file, "--yes"]).ok();
    assert!(done.stdout.contains("ctl restore --undo"), "{done:?}");
    assert_eq!(state(stack), wanted);
    assert!(runs(&site.status()));
    let recovery = site.status();
    assert_eq!(recovery.state("mattermost-recovery"), "completed");

    site.ctl(&["restore", "--undo", "--yes"]).ok();
    assert_eq!(state(stack), before);
    assert!(runs(&site.status()));
    let done = site.ctl(&["restore", file, "--database", "look"]).ok();
    assert!(done.stdout.contains("look"), "{done:?}");
    site.ctl(&["restore", "--forget", "--yes"]).ok();
    site.ctl(&["restore", "--undo", "--yes"]).expect_code(1);
    assert_eq!(
        stack.sql("SELECT string_agg(datname, ' ' ORDER BY datname COLLATE \"C\") FROM pg_database WHERE datallowconn AND datname <> 'postgres' AND NOT datistemplate"),
        format!("look {DATABASE}")
    );
    assert_eq!(state(stack), before);
}

/// Saves a dump and an archive as GitLab's documentation tells its administrators to.
fn save(stack: &Stack) -> (PathBuf, PathBuf) {
    let dump = stack.site.path("mattermost_dbdump_2021-08-05.sql.gz");
    let archive = stack.site.path("mattermost_data_2021-08-09.gz");
    let mut pg_dump = stack.postgres_program("pg_dump");
    let text = run(pg_dump.arg(DATABASE)).ok().stdout;
    fs::write(stack.site.path("dump.sql"), text).unwrap();
    let home = stack.site.path("var/lib/mattervisor/mattermost");
    let mut save = Command::new("sh");
    save.args(["-ec", "gzip <\"$1\" >\"$2\"; echo '{\"old\":true}' >\"$4\"/config.json; tar -zcf \"$3\" -C \"$4\" data config.json"])
        .arg("sh")
        .arg(stack.site.path("dump.sql"))
        .args([&dump, &archive, &home]);
    run(&mut save).ok();
    fs::write(home.join("config.json"), "{\"new\":true}").unwrap();
    (dump, archive)
}

/// A dump or an archive in the place of the other is refused, and so are options that contradict
/// each other.
fn misused(site: &Site, dump: &str, archive: &str) {
    let refused = site.ctl(&["restore", dump]).expect_code(1);
    assert!(refused.stderr.contains("ctl restore --sql"), "{refused:?}");
    let refused = site.ctl(&["restore", "--sql", archive]).expect_code(1);
    assert!(
        refused.stderr.contains("ctl restore --files"),
        "{refused:?}"
    );
    for wrong in [
        &["restore"][..],
        &["restore", dump, "--sql", dump],
        &["restore", "--files", archive, "--database", "look"],
        &["restore", "--undo", "--sql", dump],
        &["restore", "--undo", "--database", "look"],
    ] {
        site.ctl(wrong).expect_code(2);
    }
}

/// A dump and an archive as GitLab's documentation makes them are restored by one command.
#[test]
fn a_dump_and_an_archive_as_of_gitlabs_package_are_restored_and_undone() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '200'");
    stack.start();
    insert(&stack, "saved", 2000);
    fs::write(file(&stack), "saved").unwrap();
    let wanted = state(&stack);
    let (dump, archive) = save(&stack);
    insert(&stack, "later", 10);
    fs::write(file(&stack), "later").unwrap();
    let before = state(&stack);
    let site = &stack.site;
    let (dump, archive) = (dump.to_str().unwrap(), archive.to_str().unwrap());

    misused(site, dump, archive);
    let asked = site
        .ctl(&["restore", "--sql", dump, "--files", archive])
        .expect_code(2);
    for wanted in [
        "a dump of PostgreSQL",
        "take the place of",
        "messages",
        "--yes",
    ] {
        assert!(asked.stderr.contains(wanted), "{asked:?}");
    }
    assert_eq!(state(&stack), before);

    let done = site
        .ctl(&["restore", "--sql", dump, "--files", archive, "--yes"])
        .ok();
    for wanted in [
        "as many as the dump has",
        "--against-config",
        "ctl restore --undo",
    ] {
        assert!(done.stdout.contains(wanted), "{done:?}");
    }
    assert_eq!(state(&stack), wanted);
    assert!(runs(&site.status()));
    site.ctl(&["restore", "--undo", "--yes"]).ok();
    assert_eq!(state(&stack), before);

    // The files alone are restored and undone; the dump is restored into another database.
    site.ctl(&["restore", "--files", archive, "--yes"]).ok();
    assert_eq!(state(&stack), (before.0.clone(), wanted.1.clone()));
    site.ctl(&["restore", "--undo", "--yes"]).ok();
    assert_eq!(state(&stack), before);
    assert!(runs(&site.status()));
    let done = site
        .ctl(&["restore", "--sql", dump, "--database", "look"])
        .ok();
    assert!(done.stdout.contains("look"), "{done:?}");
    site.ctl(&["restore", "--forget", "--yes"]).ok();
    assert_eq!(state(&stack), before);
}

/// The answer that users get from nginx, head and body.
fn users_get(stack: &Stack, path: &str) -> String {
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sS", "-i", "--max-time", "30", "--noproxy", "*"]);
    let url = format!("http://127.0.0.1:{}{path}", stack.nginx_port);
    mattervisor_tests::run(curl.arg(url)).ok().stdout
}

/// While Mattermost is down for a restore, the page and the API say that it is being restored.
#[test]
fn users_are_told_of_a_restore() {
    let bin = need!(postgres());
    need!(nginx());
    let saved = Saved::make(bin);
    let (stack, site) = (&saved.stack, &saved.stack.site);
    let leased = |status: &StatusReply| status.service("mattermost").leased.is_some();
    saved.begin("told");
    let status = site.wait_for_within(LIMIT, "Mattermost is down", leased);
    let job = status.service("restore").pid.unwrap();
    kill(job, Signal::SIGSTOP);
    assert!(leased(&site.status()), "it was over before it was seen");
    mattervisor_tests::eventually("the page says it", || {
        let page = users_get(stack, "/");
        let said = page.contains("<h1>Mattermost is being restored.</h1>");
        (page.starts_with("HTTP/1.1 503") && said).then_some(())
    });
    let answer = users_get(stack, "/api/v4/users/me");
    let said = "\"message\": \"Mattermost is being restored.\"";
    assert!(answer.contains(said), "{answer}");
    kill(job, Signal::SIGCONT);
    site.wait_for_within(LIMIT, "it is over", |status| {
        is_over(status) && runs(status)
    });
    let page = users_get(stack, "/");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
}

/// Whatever process dies, the old or the new data is complete afterwards, Mattermost runs, and the
/// next restore succeeds.
#[test]
fn whatever_dies_old_or_new_is_whole_and_mattermost_runs() {
    let bin = need!(postgres());
    need!(nginx());
    let mut saved = Saved::make(bin);
    let wanted = state(&saved.stack);
    for (number, (at, victims)) in [
        (Step::ReadBackup, &["postgresql"][..]),
        (Step::GatherStatistics, &["control"]),
        (Step::StopMattermost, &["control", "restore"]),
        (Step::SwitchDatabases, &["restore"]),
        (Step::SwitchDatabases, &["postgresql"]),
        (Step::SwitchFiles, &["keeper"]),
        (
            Step::SwitchFiles,
            &["control", "postgresql", "restore", "keeper"],
        ),
        (Step::StartMattermost, &["restore", "control"]),
    ]
    .iter()
    .enumerate()
    {
        let before = saved.change();
        let id = format!("try-{number}");
        let context = format!("{victims:?} at {at:?}");
        let hold = saved
            .stack
            .site
            .path("var/lib/mattervisor/jobs/restore/hold");
        fs::create_dir_all(hold.parent().unwrap()).unwrap();
        fs::write(hold, at.words()).unwrap();
        saved.begin(&id);
        let job = held(&saved.stack, &context);
        strike(&mut saved.stack, victims, job);
        saved
            .stack
            .site
            .wait_for_within(LIMIT, &context, |status| is_over(status) && runs(status));
        let now = state(&saved.stack);
        assert!(now == before || now == wanted, "{context}: {now:?}");
        let closed =
            "SELECT count(*) FROM pg_database WHERE NOT datallowconn AND datname <> 'template0'";
        assert_eq!(saved.stack.sql(closed), "0", "{context}");
        saved.restore();
        assert_eq!(state(&saved.stack), wanted, "{context}");
        let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_re%\\_2%'";
        assert_eq!(saved.stack.sql(databases), "0", "{context}");
    }
}

/// Waits until the job has stopped itself at the step in the file `hold`; returns its pid.
fn held(stack: &Stack, context: &str) -> i32 {
    let held = within(LIMIT, || {
        let pid = stack.site.status().service("restore").pid?;
        let state = status_field(pid, "State")?;
        state.starts_with('T').then_some(pid)
    });
    held.unwrap_or_else(|| panic!("{context}: the job does not get there"))
}

/// Sends SIGKILL to the victims. A job that is not one of them goes on.
fn strike(stack: &mut Stack, victims: &[&str], job: i32) {
    let site = &mut stack.site;
    let status = site.status();
    let control = site.control_pid();
    for victim in victims {
        match *victim {
            "control" => kill(control, Signal::SIGKILL),
            "keeper" => site.signal(Signal::SIGKILL),
            service => {
                if let Some(pid) = status.service(service).pid {
                    kill(pid, Signal::SIGKILL);
                }
            }
        }
    }
    if !victims.contains(&"restore") {
        kill(job, Signal::SIGCONT);
    }
    if victims.contains(&"keeper") {
        site.wait_end(Duration::from_secs(10));
        // With both dead, the next start stops what is left.
        if victims.contains(&"control") {
            site.start();
            return;
        }
        let gone = within(LIMIT, || site.leftovers().is_empty().then_some(()));
        assert!(gone.is_some(), "{:?}", site.leftovers());
        site.start();
    }
}
