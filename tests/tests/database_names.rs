//! Names of roles, databases and accounts, tried on a real `PostgreSQL`: any characters are
//! allowed, and an account gains no role of another's by having its name.

use std::{fs, path::Path, process::Command};

use mattervisor_tests::{Ctl, Site, StatusExt as _, need, nginx, postgres, run, skip};

use crate::stack::Stack;

/// Runs a query in the database of a site, as an account and a role.
fn psql(site: &Site, bin: &Path, account: &str, role: &str, query: &str) -> Ctl {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={account}"), "--regid=nogroup"]);
    command.args(["--clear-groups"]).arg(bin.join("psql"));
    command
        .arg("-h")
        .arg(site.path("run/mattervisor/postgresql"));
    command.args(["-U", role, "-d", "postgres", "-Atc", query]);
    run(command.current_dir("/"))
}

/// PostgreSQL runs as `daemon` and admits its superuser and Mattermost's role from one account
/// each.
#[test]
fn an_account_called_like_a_role_is_not_that_role() {
    if !nix::unistd::geteuid().is_root() {
        skip!("only root can be another account");
    }
    let bin = need!(postgres());
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    site.site_file(
        "
            postgresql.enable = true
            postgresql.username = 'daemon'
            postgresql.superuser = 'postgres'
            postgresql.shared_buffers = '16MB'
            mattermost.sql_user = 'games'
        ",
    );
    site.start_ready();
    let make = "create role games login; create role bin login; create role gamesx login";
    psql(&site, &bin, "daemon", "postgres", make).ok();
    psql(&site, &bin, "root", "games", "select 1").ok();
    // Any other role is still open to the account of the same name.
    psql(&site, &bin, "bin", "bin", "select 1").ok();
    for (account, role) in [
        ("postgres", "postgres"),
        ("games", "games"),
        ("nobody", "postgres"),
        ("nobody", "games"),
        ("bin", "postgres"),
    ] {
        let told = psql(&site, &bin, account, role, "select 1").expect_code(2);
        assert!(
            told.both().contains("Peer authentication failed"),
            "{account} as {role}: {}",
            told.both()
        );
    }
}

/// Names with quotes and blanks: role and database are made, and Mattermost can log in.
#[test]
fn odd_names_are_only_names() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(file).unwrap();
    stack.site.site_file(&format!(
        r#"
            {site_file}
            mattermost.sql_user = '''o'brien \ "mm" $x'''
            mattermost.database_name = 'Db with = Blank host=evil.example'
        "#
    ));
    stack.start();
    let status = stack.site.status();
    assert_eq!(status.state("mattermost-database"), "completed");
    assert!(status.ready("mattermost"));
    // The check of the database's version before the start could log in, too.
    let told = stack.site.supervisor_log();
    assert!(!told.contains("may be older than its database"), "{told}");
    // A second role gets no rights to the first role's database, and the log says so.
    stack.site.site_file(&format!(
        "{site_file}mattermost.database_name = 'Db with = Blank host=evil.example'\n"
    ));
    stack.site.ctl(&["reconfigure", "--no-wait"]).ok();
    stack.site.wait_log("mattermost-database", |line| {
        line.contains("role mattermost may make no tables")
    });
}

/// Mattermost's role may make functions in its database. The superuser must not be led to call one
/// of them.
#[test]
fn no_function_of_mattermosts_runs_as_the_superuser() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    stack.sql(
        "set role mattermost; \
         create function public.has_schema_privilege(text, oid, text) returns boolean language plpgsql \
         as $$ begin raise exception 'called by %', session_user; end $$",
    );
    stack.site.ctl(&["restart", "mattermost-database"]).ok();
    let log = stack.site.log("mattermost-database").join("\n");
    assert!(!log.contains("called by"), "{log}");
}
