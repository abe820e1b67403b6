//! Dumps and tar archives made to do harm: none of their code runs with more rights than the
//! database's owner has, and the machine stays as it was.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use common::{
    ACCOUNT, Supervisor, World, done,
    foreign::{DATABASE, ROWS, Scene, machine, restore, sql, state, with_programs},
    other_version, output, own,
};
use nix::unistd::{Uid, User};
use serde_json::json;

/// A good dump as text, and a directory in which any account may leave a trace.
struct Plot {
    scene: Scene,
    good: String,
    traces: PathBuf,
}

impl Plot {
    fn make() -> Self {
        let scene = Scene::make();
        let good = fs::read_to_string(scene.dump("plain.sql", &[])).unwrap();
        let traces = scene.path("traces");
        fs::create_dir(&traces).unwrap();
        fs::set_permissions(&traces, fs::Permissions::from_mode(0o777)).unwrap();
        Self {
            scene,
            good,
            traces,
        }
    }

    /// The good dump with `before` inserted before its first table and `behind` after its last row.
    fn planted(&self, before: &str, behind: &str) -> PathBuf {
        let table = format!("{before}\nCREATE TABLE");
        let text = self.good.replacen("CREATE TABLE", &table, 1);
        let end = text.rfind("--\n-- PostgreSQL database dump complete");
        let end = end.unwrap();
        let text = format!("{}{behind}\n{}", &text[..end], &text[end..]);
        let path = self.scene.path("planted.sql");
        fs::write(&path, text).unwrap();
        path
    }

    /// The restore fails, changes nothing and leaves no trace; returns its message.
    fn refused(&self, id: &str, dump: &Path) -> String {
        let said = self.scene.refused(id, &sql(dump));
        assert_eq!(fs::read_dir(&self.traces).unwrap().count(), 0, "{id}");
        said
    }
}

#[test]
fn commands_and_statements_that_no_dump_has_are_refused_and_not_executed() {
    let plot = Plot::make();
    let touch = format!("touch {}/x", plot.traces.display());
    let copy = format!("COPY posts TO PROGRAM '{touch}';");
    for (id, planted) in [
        ("shell", format!("\\! {touch}")),
        ("shell in a statement", format!("SELECT 1 \\! {touch}")),
        ("copy", format!("\\copy posts to program '{touch}'")),
        ("output", format!("\\o |{touch}")),
        ("output of a query", format!("SELECT 1 \\g |{touch}")),
        ("input", "\\i /etc/passwd".to_owned()),
        ("connect", "\\connect postgres postgres".to_owned()),
        ("variable", format!("\\set x `{touch}`")),
        ("edit", "\\e".to_owned()),
        ("escaped", format!("SELECT E'\\''; \\! {touch}")),
        ("program", copy.clone()),
        ("in a comment", format!("/* */ {copy} /* */")),
        (
            "behind a dump's key",
            format!("\\unrestrict x\n\\! {touch}"),
        ),
        ("carriage return", format!("--\r\\! {touch}\n")),
        (
            "system",
            "ALTER SYSTEM SET archive_command = 'x';".to_owned(),
        ),
        (
            "drop",
            format!("COMMIT; DROP DATABASE \"{DATABASE}\" WITH (FORCE);"),
        ),
        (
            "rename",
            format!("ALTER DATABASE \"{DATABASE}\" RENAME TO x;"),
        ),
        ("role", "ALTER ROLE mattermost SUPERUSER;".to_owned()),
        ("block", "DO $$ BEGIN PERFORM 1; END $$;".to_owned()),
        ("encoding", "SET client_encoding = 'SJIS';".to_owned()),
    ] {
        for dump in [plot.planted(&planted, ""), plot.planted("", &planted)] {
            let said = plot.refused(id, &dump);
            assert!(
                said.contains("nothing of the dump was executed") || said.contains("pg_dumpall"),
                "{id}: {said}"
            );
        }
    }
}

/// A function that runs during the restore runs as the owner of the database.
#[test]
fn what_a_function_of_a_dump_does_it_does_without_rights() {
    let plot = Plot::make();
    let trace = plot.traces.join("x");
    for (id, body) in [
        (
            "program",
            format!("COPY (SELECT 1) TO PROGRAM 'touch {}'", trace.display()),
        ),
        ("file", format!("COPY (SELECT 1) TO '{}'", trace.display())),
        ("role", "SET ROLE postgres".to_owned()),
        ("session", "SET SESSION AUTHORIZATION postgres".to_owned()),
        ("system", "ALTER SYSTEM SET work_mem = '1GB'".to_owned()),
        ("superuser", "ALTER ROLE mattermost SUPERUSER".to_owned()),
        ("drop", format!("DROP DATABASE \"{DATABASE}\"")),
    ] {
        let function = format!(
            "CREATE FUNCTION public.evil() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $e$ BEGIN \
             EXECUTE $q${body}$q$; RETURN 1; END $e$;\nCREATE TABLE public.evil (x int DEFAULT public.evil(), y int);"
        );
        let rows = "COPY public.evil (y) FROM stdin;\n1\n\\.\n";
        let said = plot.refused(id, &plot.planted(&function, rows));
        assert!(said.contains("ERROR:"), "{id}: {said}");
    }
}

/// A dump may shadow the server's own functions: the superuser does not call them.
#[test]
fn the_superuser_calls_nothing_that_a_dump_has_brought() {
    let plot = Plot::make();
    let before = "CREATE SCHEMA evil;\n\
        CREATE TABLE evil.seen (who text);\n\
        CREATE FUNCTION evil.note(bigint) RETURNS bigint LANGUAGE plpgsql AS $e$ BEGIN \
        INSERT INTO evil.seen VALUES (session_user); RETURN $1; END $e$;\n\
        CREATE AGGREGATE evil.count(*) (SFUNC = evil.note, STYPE = bigint, INITCOND = '0');\n\
        CREATE FUNCTION evil.to_jsonb(record) RETURNS jsonb LANGUAGE plpgsql AS $e$ BEGIN \
        INSERT INTO evil.seen VALUES (session_user); RETURN pg_catalog.to_jsonb($1); END $e$;\n\
        CREATE FUNCTION evil.path() RETURNS int LANGUAGE plpgsql AS $e$ BEGIN EXECUTE \
        pg_catalog.format('ALTER DATABASE %I SET search_path = evil, public, pg_catalog', pg_catalog.current_database()); \
        RETURN 1; END $e$;\n\
        CREATE TABLE evil.run (x int DEFAULT evil.path(), y int);";
    let dump = plot.planted(before, "COPY evil.run (y) FROM stdin;\n1\n\\.\n");
    let world = &plot.scene.world;
    done(&mut plot.scene.restore("one", &sql(&dump)));
    let path = "SELECT setconfig::text LIKE '%evil%' FROM pg_db_role_setting s JOIN pg_database d \
        ON d.oid = s.setdatabase WHERE datname = 'matter most' AND setrole = 0";
    assert_eq!(world.postgres.ask("postgres", path), "t");
    // Both the client and a backup query the database.
    let backup = world.create(&json!({}));
    done(world.program(&["backup", "verify", "--deep"]).arg(backup));
    let mut asked = world.program(&["restore", "--undo"]);
    let said = String::from_utf8(output(&mut asked).stderr).unwrap();
    assert!(said.contains("messages were written since"), "{said}");
    let seen = "SELECT pg_catalog.count(*) FROM evil.seen WHERE who = 'postgres'";
    assert_eq!(world.postgres.ask(DATABASE, seen), "0");
    let owner = "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace";
    assert_eq!(world.postgres.ask(DATABASE, owner), "mattermost");
}

/// Wrappers of the PostgreSQL programs that record their account and their input.
fn noting(plot: &Plot, programs: &Path) -> PathBuf {
    let dir = plot.scene.path("programs");
    fs::create_dir(&dir).unwrap();
    for name in ["pg_dump", "pg_restore", "psql"] {
        let real = programs.join(name);
        let (traces, real) = (plot.traces.display(), real.display());
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--single-transaction*)\n  id -u >{traces}/account\n  tee {traces}/read | {real} \"$@\"\n  exit ;;\nesac\nexec {real} \"$@\"\n"
        );
        let path = dir.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

#[test]
fn psql_is_mattermosts_account_and_kept_from_its_own_commands() {
    let plot = Plot::make();
    let bin = output(Command::new("pg_config").arg("--bindir"));
    let bin = String::from_utf8(bin.stdout).unwrap();
    let world = &plot.scene.world;
    let programs = noting(&plot, Path::new(bin.trim()));
    with_programs(world, &programs);
    let dump = plot.planted("", "");
    done(&mut plot.scene.restore("one", &sql(&dump)));
    if Uid::effective().is_root() {
        let account = User::from_name(ACCOUNT).unwrap().unwrap().uid;
        let seen = fs::read_to_string(plot.traces.join("account")).unwrap();
        assert_eq!(seen.trim(), account.to_string());
    }
    let read = fs::read_to_string(plot.traces.join("read")).unwrap();
    let first = read
        .lines()
        .next()
        .unwrap()
        .strip_prefix("\\restrict ")
        .unwrap();
    assert!(first.len() >= 32 && !plot.good.contains(first), "{first}");
    assert!(read.trim_end().ends_with(&format!("\\unrestrict {first}")));
    assert_eq!(read.matches("restrict ").count(), 2);
}

/// A psql without `\restrict`: texts that it could read in two ways are refused.
#[test]
fn a_psql_without_restrict_gets_nothing_that_is_unclear() {
    let Some(old) = other_version(16) else {
        skip::note("no PostgreSQL 16 in var: ./dev test gets it");
        return;
    };
    let plot = Plot::make();
    let world = &plot.scene.world;
    with_programs(world, &old);
    let whole = plot.planted("", "");
    done(&mut plot.scene.restore("one", &sql(&whole)));
    let count = world.postgres.ask(DATABASE, "SELECT count(*) FROM posts");
    assert_eq!(count, (ROWS + 1).to_string());
    plot.scene.back("one");
    let inserts = plot.scene.dump("inserts.sql", &["--inserts"]);
    let said = plot.refused("inserts", &inserts);
    assert!(
        said.contains("install a psql that knows \\restrict"),
        "{said}"
    );
}

/// A tar archive with a member made to do harm.
fn tarred(world: &World, kind: tar::EntryType, name: &str, target: &str) -> PathBuf {
    let path = world.dir.path().join("planted.tar");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    for (kind, name, target) in [
        (tar::EntryType::Directory, "data/", ""),
        (tar::EntryType::Regular, "data/file", ""),
        (kind, name, target),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o6755);
        header.set_size(0);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
    }
    builder.into_inner().unwrap();
    path
}

#[test]
fn what_would_lie_elsewhere_is_refused_and_nothing_is_left() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    own(&outside, ACCOUNT);
    let before = state(&world);
    let out = outside.to_str().unwrap();
    use tar::EntryType as Type;
    for (kind, name, target) in [
        (Type::Regular, "data/../../outside/evil", ""),
        (Type::Regular, "data/./evil", ""),
        (Type::Regular, "data//evil", ""),
        (Type::Regular, "data/file", ""),
        (Type::Symlink, "data", out),
        (Type::Symlink, "config.json", "/etc/passwd"),
        (Type::Symlink, "plugins", out),
        (Type::Link, "data/hard", "/etc/passwd"),
        (Type::Link, "data/hard", "data/../config.json"),
        (Type::Link, "data/hard", "config.json"),
        (Type::Char, "data/device", ""),
        (Type::Block, "data/device", ""),
        (Type::Fifo, "data/fifo", ""),
        (Type::Directory, "config.json/", ""),
    ] {
        let id = format!("{kind:?} {name} {target}");
        let bad = tarred(&world, kind, name, target);
        let arguments = json!({ "operation": "foreign", "files": bad });
        let mut job = restore(&world, &supervisor, &id, &arguments);
        assert_eq!(output(&mut job).status.code(), Some(1), "{id}");
        assert_eq!(state(&world), before, "{id}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{id}");
        let asked = supervisor.asked();
        assert!(!asked.contains(&"POST /v1/leases".to_owned()), "{id}");
    }
    // Set-id bits are cleared, links within the archive are kept, and absolute names stay within
    // the target.
    let good = tarred(&world, Type::Link, "/data/hard", "./data/file");
    let arguments = json!({ "operation": "foreign", "files": good });
    done(&mut restore(&world, &supervisor, "good", &arguments));
    let made = fs::metadata(world.home().join("data/hard")).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o755);
}
