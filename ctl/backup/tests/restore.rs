//! Restores of real databases and files. The program runs as the supervisor starts it.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use common::{ACCOUNT, Heard, Supervisor, World, done, held, hold, output, own, pid, spawn};
use mattervisor_backup::Step;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Uid, User},
};
use serde_json::{Value, json};

const DATABASE: &str = "matter most";

/// Everything that a restore replaces: rows, and the content of files.
#[derive(Debug, PartialEq, Eq)]
struct State {
    posts: String,
    files: BTreeMap<String, String>,
}

impl State {
    fn of(world: &World) -> Self {
        let posts = world.postgres.ask(
            DATABASE,
            "SELECT count(*) || ' ' || max(message) FROM posts",
        );
        let mut files = BTreeMap::new();
        gather(&world.home(), "", &mut files);
        Self { posts, files }
    }
}

fn gather(dir: &Path, name: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().into_string().unwrap();
        if own.starts_with(".mattervisor-") {
            continue;
        }
        let name = format!("{name}/{own}");
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), &name, files);
        } else if entry.file_type().unwrap().is_symlink() {
            let to = fs::read_link(entry.path()).unwrap();
            files.insert(name, format!("-> {}", to.display()));
        } else {
            let text = fs::read(entry.path()).unwrap();
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            let short = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
            files.insert(name, format!("{short} {:x}", hasher.finish()));
        }
    }
}

/// A machine with messages and files.
fn filled() -> World {
    let world = World::new();
    world.postgres.ask(
        DATABASE,
        "SET ROLE mattermost; CREATE TABLE posts (id int PRIMARY KEY, message text); \
         CREATE INDEX ON posts USING gin (to_tsvector('english', message)); \
         INSERT INTO posts SELECT n, 'old ' || n FROM generate_series(1, 20000) n",
    );
    world.postgres.ask(
        "postgres",
        "ALTER DATABASE \"matter most\" SET default_text_search_config = 'english'; \
         ALTER ROLE mattermost IN DATABASE \"matter most\" SET work_mem = '8MB'",
    );
    let noise: Vec<u8> = (0..100_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for number in 0..20 {
        world.file(format!("data/teams/file{number}"), &noise[number..]);
    }
    fs::hard_link(
        world.home().join("data/teams/file1"),
        world.home().join("data/teams/other-name"),
    )
    .unwrap();
    std::os::unix::fs::symlink("teams/file1", world.home().join("data/link")).unwrap();
    world.file("plugins/x/plugin.json", b"{}");
    world.file("saml.crt", b"old certificate");
    world.file("VERSION", b"of the old machine");
    world
}

/// Changes the machine after the backup.
fn change(world: &World) {
    world.postgres.ask(
        DATABASE,
        "INSERT INTO posts SELECT n, 'new ' || n FROM generate_series(20001, 20100) n",
    );
    world.file("data/teams/file1", b"new");
    world.file("data/later", b"new");
    world.file("saml.crt", b"new certificate");
    world.file("VERSION", b"of this machine");
    world.file("config.json", b"{\"new\":true}");
}

/// The state that a restore must produce: the backup's, except for what belongs to this machine.
fn wanted(mut saved: State) -> State {
    let mut hasher = DefaultHasher::new();
    b"of this machine".to_vec().hash(&mut hasher);
    let version = format!("of this machine {:x}", hasher.finish());
    saved.files.insert("/VERSION".to_owned(), version);
    saved
}

fn databases(world: &World) -> Vec<String> {
    let all = world.postgres.ask(
        "postgres",
        "SELECT datname || CASE WHEN datallowconn THEN '' ELSE ' CLOSED' END FROM pg_database \
         WHERE datname NOT LIKE 'template%' AND datname <> 'postgres' ORDER BY 1",
    );
    all.lines().map(str::to_owned).collect()
}

fn stashes(world: &World) -> usize {
    let names = fs::read_dir(world.home()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with(".mattervisor-"))
        .count()
}

fn restore(world: &World, supervisor: &Supervisor, id: &str, arguments: &Value) -> Command {
    let mut command = world.restore(id, arguments);
    command.env("MATTERVISOR_SOCKET", &supervisor.socket);
    command
}

fn recover(world: &World) -> String {
    done(world.program(&["recover"]).arg(world.configuration()))
}

fn message(world: &World) -> String {
    world.restored()["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_backup_takes_the_place_of_what_there_is_and_undo_brings_that_back() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let saved = State::of(&world);
    let backup = world.create(&json!({}));
    change(&world);
    let before = State::of(&world);

    let arguments = json!({ "operation": "restore", "file": backup });
    done(&mut restore(&world, &supervisor, "one", &arguments));
    let asked = supervisor.asked();
    assert_eq!(
        asked,
        ["DELETE /v1/leases", "POST /v1/leases", "DELETE /v1/leases"]
    );
    let saved = wanted(saved);
    assert_eq!(State::of(&world), saved);
    let settings = "SELECT string_agg(array_to_string(setconfig, ','), ' ' ORDER BY setrole) \
        FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'matter most'";
    assert_eq!(
        world.postgres.ask("postgres", settings),
        "default_text_search_config=english work_mem=8MB"
    );
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'posts'";
    assert_eq!(world.postgres.ask(DATABASE, owner), "mattermost");
    let data = fs::metadata(world.home().join("data/teams/file1")).unwrap();
    assert_eq!(data.nlink(), 2);
    if Uid::effective().is_root() {
        let account = User::from_name(ACCOUNT).unwrap().unwrap();
        assert_eq!(data.uid(), account.uid.as_raw());
        let top = fs::metadata(world.home().join("data")).unwrap();
        assert_eq!(top.uid(), account.uid.as_raw());
    }
    // The site's own files lie beside and are not applied.
    let beside = world.restore_job().join("configuration");
    let secrets = fs::read_to_string(beside.join("secrets/secrets.toml")).unwrap();
    assert!(secrets.contains("kkkkkkkk"));
    assert_eq!(databases(&world).len(), 2);
    assert!(!databases(&world).join(" ").contains("CLOSED"));

    // An undo goes back, and the next undo returns.
    let undo = json!({ "operation": "undo" });
    done(&mut restore(&world, &supervisor, "two", &undo));
    assert_eq!(State::of(&world), before);
    done(&mut restore(&world, &supervisor, "three", &undo));
    assert_eq!(State::of(&world), saved);
    // A repeat of the same request finds the work done.
    done(&mut restore(&world, &supervisor, "three", &undo));
    assert_eq!(State::of(&world), saved);
    assert!(!databases(&world).join(" ").contains("CLOSED"));

    // A new backup contains no safety copy, and the next restore removes the earlier one.
    let again = world.create(&json!({}));
    let out = world.unpacked(&again);
    assert!(!output(Command::new("find").arg(&out)).stdout.is_empty());
    let arguments = json!({ "operation": "restore", "file": again });
    let said = done(&mut restore(&world, &supervisor, "four", &arguments));
    assert!(!said.contains("stays"), "{said}");
    assert_eq!(State::of(&world), saved);
    assert_eq!((databases(&world).len(), stashes(&world)), (2, 1));

    let forget = json!({ "operation": "forget" });
    done(&mut restore(&world, &supervisor, "five", &forget));
    assert_eq!((databases(&world).len(), stashes(&world)), (1, 0));
    let mut nothing = restore(&world, &supervisor, "six", &undo);
    assert_eq!(output(&mut nothing).status.code(), Some(1));
    assert!(message(&world).contains("no"), "{}", message(&world));
    assert_eq!(State::of(&world), saved);
}

/// After SIGKILL at each step, recovery leaves the old or the new state whole, and the next attempt
/// succeeds.
#[test]
fn killed_at_each_step_old_or_new_is_whole_and_the_next_try_works() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let saved = State::of(&world);
    let backup = world.create(&json!({}));
    change(&world);
    let saved = wanted(saved);
    let arguments = json!({ "operation": "restore", "file": backup });
    for step in Step::RESTORE {
        change_again(&world);
        let before = State::of(&world);
        kill_at(&world, &supervisor, step, step.words(), &arguments);
        let now = State::of(&world);
        let is_over = [Step::SwitchFiles, Step::StartMattermost].contains(&step);
        assert_eq!(&now, if is_over { &saved } else { &before }, "{step:?}");
        assert!(!databases(&world).join(" ").contains("CLOSED"), "{step:?}");
        let copies = kept(&world);
        assert_eq!(
            (databases(&world).len(), stashes(&world)),
            (1 + copies, copies),
            "{step:?}"
        );
        // The supervisor repeats the same request.
        done(&mut restore(&world, &supervisor, step.words(), &arguments));
        assert_eq!(State::of(&world), saved, "{step:?}");
        assert_eq!((kept(&world), stashes(&world)), (1, 1), "{step:?}");
    }
}

/// The same invariant for an undo.
#[test]
fn killed_at_each_step_of_an_undo_either_state_is_whole_and_the_next_try_works() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    change(&world);
    let mut other = State::of(&world);
    let arguments = json!({ "operation": "restore", "file": backup });
    done(&mut restore(&world, &supervisor, "one", &arguments));
    let mut here = State::of(&world);
    let undo = json!({ "operation": "undo" });
    for step in Step::UNDO {
        kill_at(&world, &supervisor, step, step.words(), &undo);
        let is_over = [Step::SwitchFiles, Step::StartMattermost].contains(&step);
        let wanted = if is_over { &other } else { &here };
        assert_eq!(&State::of(&world), wanted, "{step:?}");
        assert!(!databases(&world).join(" ").contains("CLOSED"), "{step:?}");
        assert_eq!((kept(&world), stashes(&world)), (1, 1), "{step:?}");
        // The supervisor repeats the same request.
        done(&mut restore(&world, &supervisor, step.words(), &undo));
        assert_eq!(State::of(&world), other, "{step:?}");
        assert_eq!((kept(&world), stashes(&world)), (1, 1), "{step:?}");
        std::mem::swap(&mut here, &mut other);
    }
}

/// Kills the job when it begins a step, and recovers as the supervisor's next start does.
fn kill_at(world: &World, supervisor: &Supervisor, step: Step, id: &str, arguments: &Value) {
    let mut job = restore(world, supervisor, id, arguments);
    hold(&world.restore_job(), step);
    let mut job = spawn(&mut job);
    held(&job);
    kill(pid(&job), Signal::SIGKILL).unwrap();
    job.wait().unwrap();
    recover(world);
    assert_eq!(recover(world), "");
}

/// Number of safety copies that are recorded.
fn kept(world: &World) -> usize {
    let text = fs::read(world.restore_job().join("kept.json")).unwrap_or_default();
    let kept: Value = serde_json::from_slice(&text).unwrap_or_default();
    kept["earlier"]
        .as_array()
        .map_or(0, |earlier| earlier.len() + 1)
}

fn change_again(world: &World) {
    world.postgres.ask(
        DATABASE,
        "INSERT INTO posts SELECT max(id) + 1, 'newer' FROM posts",
    );
    world.file("data/later", b"newer");
}

/// Past the commit point a restore only goes forward, however often that fails.
#[test]
fn what_cannot_be_finished_is_tried_again_until_it_can() {
    if !Uid::effective().is_root() {
        skip::skip!("the files have to be another account's");
    }
    let world = filled();
    let saved = wanted(State::of(&world));
    let backup = world.create(&json!({}));
    change(&world);
    let home = world.home();
    let mode = |mode| fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
    let stopped = {
        let home = home.clone();
        move || fs::set_permissions(&home, fs::Permissions::from_mode(0o555)).unwrap()
    };
    let supervisor = Supervisor::start(&world, stopped);
    let arguments = json!({ "operation": "restore", "file": backup });
    let mut job = restore(&world, &supervisor, "one", &arguments);
    assert_eq!(output(&mut job).status.code(), Some(75));
    let mut next = world.program(&["recover"]);
    let tried = output(next.arg(world.configuration()));
    assert_eq!(tried.status.code(), Some(1));
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    assert!(said.contains("put into place"), "{said}");
    mode(0o750);
    let said = recover(&world);
    assert!(said.contains("is finished now"), "{said}");
    assert_eq!(State::of(&world), saved);
    done(&mut restore(&world, &supervisor, "one", &arguments));
    assert!(message(&world).contains("restored"), "{}", message(&world));
    assert_eq!(State::of(&world), saved);
}

/// Every obstacle is found before anything is stopped, and the attempt leaves nothing behind.
#[test]
fn what_cannot_be_restored_is_refused_before_anything_is_stopped() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    change(&world);
    let before = State::of(&world);
    let refused = |id: &str, file: &Path, wanted: &str| {
        let arguments = json!({ "operation": "restore", "file": file });
        let mut job = restore(&world, &supervisor, id, &arguments);
        assert_eq!(output(&mut job).status.code(), Some(1), "{id}");
        assert!(
            message(&world).contains(wanted),
            "{id}: {}",
            message(&world)
        );
        assert!(!supervisor.asked().contains(&"POST /v1/leases".to_owned()));
        assert_eq!((databases(&world).len(), stashes(&world)), (1, 0), "{id}");
        assert_eq!(State::of(&world), before, "{id}");
    };
    let whole = fs::read(&backup).unwrap();
    let bad = world.dir.path().join("bad.tar.zst");
    fs::write(&bad, &whole[..whole.len() / 2]).unwrap();
    refused("cut", &bad, "cut off");
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&bad, &flipped).unwrap();
    refused("flipped", &bad, "damaged");
    fs::write(&bad, "nothing").unwrap();
    refused("foreign", &bad, "not a backup of Mattervisor's");
    refused("missing", Path::new("/nowhere"), "cannot open /nowhere");
    world.configure(&json!({ "mattermost_version": "9.5.0" }));
    refused(
        "older",
        &backup,
        "the backup is of Mattermost 10.11.3, and 9.5.0 is installed",
    );
    world.configure(&json!({}));
    let arguments = json!({ "operation": "restore", "file": backup });
    done(&mut restore(&world, &supervisor, "last", &arguments));
}

#[test]
fn the_database_alone_is_restored_beside_the_live_one() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    change(&world);
    let before = State::of(&world);
    let beside = |name: &str| json!({ "operation": "beside", "file": backup, "database": name });
    done(&mut restore(
        &world,
        &supervisor,
        "one",
        &beside("look \"here"),
    ));
    let count = "SELECT count(*) FROM posts";
    assert_eq!(world.postgres.ask("look \"here", count), "20000");
    assert_eq!(State::of(&world), before);
    assert!(!supervisor.asked().contains(&"POST /v1/leases".to_owned()));
    assert_eq!(databases(&world).len(), 2);
    for (name, wanted) in [
        ("look \"here", "there is a database"),
        (DATABASE, "cannot be restored as"),
        ("", "cannot be restored as"),
    ] {
        let mut job = restore(&world, &supervisor, "two", &beside(name));
        assert_eq!(output(&mut job).status.code(), Some(1));
        assert!(message(&world).contains(wanted), "{}", message(&world));
    }
    // A killed restore into a database of another name leaves nothing behind.
    let mut job = restore(&world, &supervisor, "three", &beside("other"));
    let heard = Heard::listen(&world, &mut job);
    let mut job = spawn(&mut job);
    heard.step(Step::CountRows);
    kill(pid(&job), Signal::SIGKILL).unwrap();
    job.wait().unwrap();
    recover(&world);
    assert_eq!(databases(&world).len(), 2);
    done(&mut restore(&world, &supervisor, "three", &beside("other")));
    assert_eq!(world.postgres.ask("other", count), "20000");
}

/// A stop before the commit point leaves everything as it was.
#[test]
fn sigterm_ends_it_before_the_commit_point_and_all_is_as_it_was() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    change(&world);
    let before = State::of(&world);
    let arguments = json!({ "operation": "restore", "file": backup });
    for step in [Step::ReadBackup, Step::GatherStatistics] {
        let mut job = restore(&world, &supervisor, step.words(), &arguments);
        let heard = Heard::listen(&world, &mut job);
        let mut job = spawn(&mut job);
        heard.step(step);
        kill(pid(&job), Signal::SIGTERM).unwrap();
        assert_eq!(job.wait().unwrap().code(), Some(1));
        assert_eq!(message(&world), "cancelled");
        assert_eq!(State::of(&world), before);
        assert_eq!((databases(&world).len(), stashes(&world)), (1, 0));
    }
}

/// A mount point cannot be renamed, so its contents are moved instead.
#[test]
fn data_on_a_disk_of_its_own_is_restored_there() {
    if !Uid::effective().is_root() {
        skip::skip!("only root can mount a disk");
    }
    let world = filled();
    let data = world.home().join("data");
    let saved = wanted(State::of(&world));
    let backup = world.create(&json!({}));
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let mut mount = Command::new("mount");
    done(
        mount
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(&data),
    );
    let mounted = Mounted(data.clone());
    own(&data, ACCOUNT);
    change_files(&world);
    let before = State::of(&world);
    let supervisor = Supervisor::start(&world, || {});
    let arguments = json!({ "operation": "restore", "file": backup });
    done(&mut restore(&world, &supervisor, "one", &arguments));
    assert_eq!(State::of(&world), saved);
    let undo = json!({ "operation": "undo" });
    done(&mut restore(&world, &supervisor, "two", &undo));
    assert_eq!(State::of(&world), before);
    done(&mut restore(
        &world,
        &supervisor,
        "three",
        &json!({ "operation": "forget" }),
    ));
    let left = fs::read_dir(&data).unwrap().count();
    assert_eq!(left, 2);
    drop(mounted);
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        output(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn change_files(world: &World) {
    world.file("data/teams/file1", b"new");
    world.file("data/later", b"new");
    world.file("VERSION", b"of this machine");
}

/// A database with an ICU locale keeps its locale provider.
#[test]
fn a_database_of_icu_is_restored_as_one() {
    let world = World::new();
    world.postgres.ask(
        "postgres",
        "CREATE DATABASE icu OWNER mattermost TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv'",
    );
    world.postgres.ask(
        "icu",
        "SET ROLE mattermost; CREATE TABLE posts (id int PRIMARY KEY, message text UNIQUE); \
         INSERT INTO posts VALUES (1, 'z'), (2, 'ö')",
    );
    let text = fs::read(world.configuration()).unwrap();
    let configuration: Value = serde_json::from_slice(&text).unwrap();
    let mut database = configuration["database"].clone();
    database["database"] = json!("icu");
    world.configure(&json!({ "database": database }));
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({ "verify": true }));
    world.postgres.ask("icu", "DELETE FROM posts");
    let arguments = json!({ "operation": "restore", "file": backup });
    let mut job = world.restore("icu", &arguments);
    done(job.env("MATTERVISOR_SOCKET", &supervisor.socket));
    let order = "SELECT string_agg(message, '' ORDER BY message) FROM posts";
    assert_eq!(world.postgres.ask("icu", order), "zö", "as Swedish has it");
    let provider = "SELECT datlocprovider FROM pg_database WHERE datname = 'icu'";
    assert_eq!(world.postgres.ask("icu", provider), "i");

    // The list shows the safety copy with its size.
    let said = done(&mut world.program(&["backup", "list"]));
    assert!(
        said.contains("Kept besides: what was there until"),
        "{said}"
    );
    assert!(said.contains("database icu_before_"), "{said}");
    assert!(said.contains("ctl restore --undo brings it back"), "{said}");
    let all = done(&mut world.program(&["backup", "list", "--format", "json"]));
    let all: Value = serde_json::from_str(&all).unwrap();
    let safety = &all["safety"];
    assert!(
        safety["database_bytes"].as_u64().unwrap() > 1_000_000,
        "{safety}"
    );
    assert!(safety["files_bytes"].is_u64(), "{safety}");
    let said = done(
        world
            .program(&["backup", "list"])
            .arg("--to")
            .arg(&world.to),
    );
    assert!(!said.contains("Kept besides"), "{said}");
}
