//! `ctl psql`, `ctl pg_dump` and `ctl mmctl`: the tools of the services, on a real `PostgreSQL`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use mattervisor_tests::{
    Ctl, Pty, Site, binary, eventually, install, need, nginx, postgres, run, skip,
    unpack_mattermost,
};

use crate::stack::Stack;

fn catalogue() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../services.d"))
}

/// PostgreSQL alone, with a database that the tools know as Mattermost's.
fn database() -> Site {
    let mut site = Site::new();
    site.use_catalog(catalogue());
    site.site_file(
        "
            postgresql.enable = true
            postgresql.shared_buffers = '16MB'
            mattermost.database_name = 'chat'
        ",
    );
    site.start_ready();
    let made = "create database chat";
    site.ctl(&["psql", "-d", "postgres", "-qc", made]).ok();
    let rows = "create table posts as select n from generate_series(1, 20000) n";
    site.ctl(&["psql", "-qc", rows]).ok();
    site
}

/// The `ctl` command of this site, quoted for a shell script.
fn in_shell(site: &Site) -> String {
    let ctl = site.ctl_command();
    let words: Vec<_> = ctl.get_args().map(|it| it.to_str().unwrap()).collect();
    format!("'{}' '{}'", ctl.get_program().display(), words.join("' '"))
}

fn bash(script: &str) -> Ctl {
    run(Command::new("bash").args(["-c", script]))
}

/// `ctl psql` connects as the superuser to Mattermost's database; arguments, pipes and exit codes
/// are psql's own.
#[test]
fn psql_and_pg_dump_pass_everything() {
    need!(postgres());
    let site = database();
    let ask = "select current_user || ' in ' || current_database()";
    let told = site.ctl(&["psql", "-Atc", ask]).ok();
    assert_eq!(told.stdout.trim().split_once(" in ").unwrap().1, "chat");
    for other in [
        &["-d", "postgres"][..],
        &["postgres"],
        &["--dbname=postgres"],
    ] {
        let told = site.ctl(&[&["psql", "-Atc", ask], other].concat()).ok();
        assert!(told.stdout.ends_with(" in postgres\n"), "{}", told.stdout);
    }
    // libpq's variables in the environment do not divert the connection.
    let mut diverted = site.ctl_command();
    diverted
        .env("PGHOST", "nowhere.invalid")
        .env("PGHOSTADDR", "192.0.2.1");
    diverted.env("PGDATABASE", "none").env("PGSERVICE", "none");
    run(diverted.args(["psql", "-Atc", "select 1"])).ok();
    // Exit codes: a statement fails, there is no such database, a script stops.
    site.ctl(&["psql", "-c", "select nonsense"]).expect_code(1);
    site.ctl(&["psql", "-d", "none", "-c", "select 1"])
        .expect_code(2);
    let ctl = in_shell(&site);
    let script = "printf 'select nonsense;\\nselect 7;\\n'";
    let told = bash(&format!("{script} | {ctl} psql -At")).ok();
    let (seven, error) = (told.stdout.contains('7'), &told.stderr);
    assert!(seven && error.contains("nonsense"), "{told:?}");
    let stop = format!("{script} | {ctl} psql -At -v ON_ERROR_STOP=1");
    let told = bash(&stop).expect_code(3);
    assert!(!told.stdout.contains('7'), "{told:?}");
    // If its reader ends, pg_dump ends by SIGPIPE, without a message.
    let pipe = format!("{ctl} pg_dump | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}");
    let told = bash(&pipe).ok();
    let (out, err) = (told.stdout.as_str(), told.stderr.as_str());
    assert_eq!((out, err), ("141\n", ""));
    let whole = site.ctl(&["pg_dump", "--data-only", "--table=posts"]).ok();
    assert!(whole.stdout.contains("\n20000\n"));
    let listed = site
        .ctl(&["pg_dump", "-d", "postgres", "--schema-only"])
        .ok();
    assert!(!listed.stdout.contains("posts"), "{}", listed.stdout);
    // On a terminal psql is interactive.
    let mut command = site.ctl_command();
    command.args(["psql"]).env("PAGER", "");
    let mut pty = Pty::start(&mut command);
    pty.until("its prompt", |screen| screen.contains("chat=#"));
    pty.send("select 6 * 7 as answer;\n");
    pty.until("the answer", |screen| screen.contains("42"));
    pty.send("\\q\n");
    assert_eq!(pty.finish(), Some(0));
}

/// Without a supervisor ctl finds the tools in the files; with PostgreSQL down, psql itself says
/// so.
#[test]
fn tools_are_known_without_a_supervisor() {
    need!(postgres());
    let mut site = database();
    let known = site.ctl(&["tools"]).ok();
    assert!(known.stdout.contains("pg_dump"), "{}", known.stdout);
    assert!(
        known.stdout.contains("(not enabled here)"),
        "{}",
        known.stdout
    );
    site.ctl(&["stop", "postgresql"]).ok();
    let down = site.ctl(&["psql", "-c", "select 1"]).expect_code(2);
    assert!(
        down.stderr.contains("Is the server running"),
        "{}",
        down.stderr
    );
    let stopped = site.stop();
    assert_eq!(stopped, 0);
    assert_eq!(site.ctl(&["tools"]).ok().stdout, known.stdout);
    site.ctl(&["psql", "-c", "select 1"]).expect_code(2);
    let version = site.ctl(&["psql", "--version"]).ok();
    assert!(
        version.stdout.starts_with("psql (PostgreSQL)"),
        "{}",
        version.stdout
    );
    // With the shipped database disabled, the message says how to reach another one.
    site.site_file("postgresql.enable = false\n");
    let told = site.ctl(&["psql", "-c", "select 1"]).expect_code(1);
    assert!(
        told.stderr
            .contains("postgresql, which is not enabled on this host"),
        "{told:?}"
    );
    assert!(told.stderr.contains("psql -h HOST"), "{told:?}");
    // A misspelled tool, and files that do not check.
    let told = site.ctl(&["psq", "-c", "select 1"]).expect_code(2);
    assert!(told.stderr.contains("did you mean: ctl psql?"), "{told:?}");
    site.site_file("postgresql.enabel = false\n");
    let told = site.ctl(&["psql", "-c", "select 1"]).expect_code(1);
    assert!(told.stderr.contains("ctl check-config"), "{told:?}");
}

/// An unprivileged user is told what to do, and root executes no program that another account can
/// change.
#[test]
fn who_may_not_is_told_what_to_do() {
    if !nix::unistd::geteuid().is_root() {
        skip!("only root can be another account");
    }
    need!(postgres());
    let mut site = Site::new();
    site.use_catalog(catalogue());
    site.site_file(
        "
            postgresql.enable = true
            postgresql.shared_buffers = '16MB'
            control.viewer_group = 'games'
        ",
    );
    site.start_ready();
    let (ctl, services) = (site.path("ctl"), site.path("catalogue"));
    install(&binary("ctl"), &ctl);
    run(Command::new("cp")
        .arg("-rL")
        .arg(catalogue())
        .arg(&services))
    .ok();
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(&services)).ok();
    let by = |account: &str, groups: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={account}"), "--regid=nogroup", groups]);
        command.arg(&ctl).arg("--root").arg(site.root());
        command.arg("--catalog").arg(&services);
        command.args(["psql", "-Atc", "select 1"]).current_dir("/");
        run(&mut command)
    };
    let told = by("nobody", "--clear-groups").expect_code(6);
    assert!(told.stderr.contains("sudo"), "{told:?}");
    let told = by("nobody", "--groups=games").expect_code(6);
    assert!(
        told.stderr
            .contains("lets only root and the account postgres"),
        "{told:?}"
    );
    assert!(told.stderr.contains("sudo ctl psql"), "{told:?}");
    // A program in a directory of an unprivileged account.
    let theirs = site.path("theirs");
    fs::create_dir(&theirs).unwrap();
    for name in ["postgres", "psql"] {
        fs::write(theirs.join(name), "#!/bin/sh\necho as root\n").unwrap();
        fs::set_permissions(theirs.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    run(Command::new("chown").args(["-R", "nobody"]).arg(&theirs)).ok();
    let stopped = site.stop();
    assert_eq!(stopped, 0);
    let theirs = theirs.join("postgres").display().to_string();
    site.site_file(&format!(
        "postgresql.enable = true\npostgresql.postgres_binary = '{theirs}'\n"
    ));
    let told = site.ctl(&["psql"]).expect_code(1);
    assert_eq!(told.stdout, "");
    assert!(told.stderr.contains("root does not execute"), "{told:?}");
}

/// The first administrator is created through the local socket; without --local, mmctl is passed on
/// as it is.
#[test]
fn mmctl_speaks_with_the_server() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let site = &stack.site;
    let make = |name: &str| {
        let email = format!("{name}@example.com");
        let mut words = vec!["mmctl", "--local", "user", "create", "--system-admin"];
        words.extend([
            "--email",
            &email,
            "--username",
            name,
            "--password",
            "Correct-horse-1",
        ]);
        site.ctl(&words)
    };
    assert_eq!(make("first").ok().stdout, "Created user first\n");
    let twice = make("first").expect_code(1);
    assert!(twice.stderr.contains("already exists"), "{twice:?}");
    let users = site.ctl(&["mmctl", "--local", "user", "list"]).ok();
    assert!(
        users.stdout.contains(": first (first@example.com)"),
        "{users:?}"
    );
    assert!(
        users
            .stdout
            .ends_with("There are 1 users on local instance\n"),
        "{users:?}"
    );
    let roles = "select roles from users";
    let roles = site.ctl(&["psql", "-Atc", roles]).ok();
    assert!(roles.stdout.contains("system_admin"), "{roles:?}");
    let version = site.ctl(&["mmctl", "system", "version", "--local"]).ok();
    assert!(version.stdout.starts_with("Server version "), "{version:?}");
    // Without --local it is a client like any other.
    let told = site.ctl(&["mmctl", "user", "list"]).expect_code(1);
    assert!(told.stderr.contains("use the --local flag"), "{told:?}");
    // With Mattermost down, mmctl itself reports the error.
    site.ctl(&["stop", "mattermost"]).ok();
    let down = site
        .ctl(&["mmctl", "--local", "user", "list"])
        .expect_code(1);
    assert!(down.stderr.contains("Error: "), "{down:?}");
    // With local mode off, only a command with --local is refused.
    let file = site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(file).unwrap();
    site.site_file(&format!(
        "{site_file}mattermost.service_enable_local_mode = false\n"
    ));
    site.ctl(&["reconfigure", "--no-wait"]).ok();
    let off = eventually("local mode is off", || {
        let told = site.ctl(&["mmctl", "--local", "user", "list"]);
        let off = told.stderr.contains("service_enable_local_mode");
        off.then_some(told)
    });
    assert_eq!(off.code, 1);
    assert!(off.stderr.contains("ctl mmctl auth login"), "{off:?}");
    site.ctl(&["mmctl", "version"]).ok();
}

/// For root, ctl runs mmctl as the account of its tool, with that account's home.
#[test]
fn mmctl_is_run_as_its_account() {
    if !nix::unistd::geteuid().is_root() {
        skip!("only root can be another account");
    }
    let site = Site::new();
    let install_dir = site.path("mattermost");
    unpack_mattermost(&install_dir);
    let shown = "#!/bin/sh\nid -un\nid -Gn\necho \"$HOME\"\necho \"$MMCTL_LOCAL_SOCKET_PATH\"\necho \"$*\"\necho \"${XDG_CONFIG_HOME-none}\"\n";
    fs::write(install_dir.join("bin/mmctl"), shown).unwrap();
    run(Command::new("chown")
        .args(["-R", "daemon"])
        .arg(&install_dir))
    .ok();
    let mut site = site;
    site.use_catalog(catalogue());
    site.site_file(&format!(
        "
            mattermost_external_url = 'http://mm.example.com'
            mattermost.username = 'daemon'
            mattermost.install_dir = '{}'
        ",
        install_dir.display()
    ));
    let mut command = site.ctl_command();
    command.args(["mmctl", "auth", "login", "--", "--local", "a b"]);
    let told = run(command.env("XDG_CONFIG_HOME", "/root/.config")).ok();
    let socket = site.path("run/mattervisor/mattermost/local.socket");
    let wanted = format!(
        "daemon\ndaemon\n/usr/sbin\n{}\nauth login -- --local a b\nnone\n",
        socket.display()
    );
    assert_eq!(told.stdout, wanted);
}
