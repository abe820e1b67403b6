//! A reload of the shipped nginx or `PostgreSQL` is done once the program confirms it from the
//! configuration that it runs with, not once the files are written.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use api::{ReloadOutcome, StatusReply};
use mattervisor_tests::{
    Site, StatusExt, eventually, free_port, http_get, kill, need, nginx,
    openssl::{fingerprint, self_signed, served},
    postgres, run,
};
use nix::sys::signal::Signal;

use crate::stack::Stack;

/// Appends a line to the site file of the stack.
fn with(stack: &Stack, line: &str) {
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(file).unwrap();
    stack.site.site_file(&format!("{site_file}{line}\n"));
}

/// Shortens the reload timeout of a service: these tests wait for reloads that fail.
fn hurry(site: &Site, service: &str) {
    site.service(service, "[reload]\ntimeout = '4s'\n");
}

fn last_reload(status: &StatusReply, service: &str) -> Option<ReloadOutcome> {
    let outcome = status.service(service).last_reload.as_ref();
    outcome.map(|it| it.outcome)
}

fn stack(environment: &str) -> Option<Stack> {
    let bin = postgres().ok()?;
    let stack = Stack::new(bin, environment);
    hurry(&stack.site, "nginx");
    hurry(&stack.site, "postgresql");
    Some(stack)
}

/// nginx reports an address that it cannot bind only in its log, and goes on with its old workers:
/// the reload fails, and the old configuration is put back.
#[test]
fn an_address_that_nginx_does_not_get_is_a_failed_reload() {
    need!(postgres());
    need!(nginx());
    let mut stack = stack("STANDIN_STOP_MS = '100'").unwrap();
    stack.start();
    let site = &stack.site;
    let conf = site.path("run/mattervisor/nginx-conf/nginx.conf");
    let (before, pid) = (
        fs::read_to_string(&conf).unwrap(),
        site.status().pid("nginx"),
    );
    let site_file = fs::read_to_string(site.path("etc/mattervisor/mattervisor.toml")).unwrap();
    // `nginx -t` accepts this address and no `listens` declares it, so only the reload can find it
    // taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let more = "mattermost_nginx.custom_nginx_config";
    with(
        &stack,
        &format!("{more} = 'server {{ listen 127.0.0.1:{port}; return 204; }}'"),
    );
    let old = |pid| {
        assert_eq!(site.status().pid("nginx"), pid);
        let answer = http_get(stack.nginx_port, "/").map(|(code, _)| code);
        assert_eq!(answer, Some(200));
        let rendered = fs::read_to_string(&conf).unwrap();
        assert_eq!(without_token(&rendered), without_token(&before));
        let applied = fs::read_to_string(site.path("var/lib/mattervisor/plan.json")).unwrap();
        let applied: serde_json::Value = serde_json::from_str(&applied).unwrap();
        let plan = applied["plan"].to_string();
        assert!(!plan.contains(&format!("listen 127.0.0.1:{port}")));
    };
    // After each attempt the working configuration is in place again.
    for _ in 0..2 {
        let told = site.ctl(&["reconfigure"]).expect_code(1).both();
        assert!(told.contains("the reload was not confirmed"), "{told}");
        assert!(told.contains("nginx: runs with it again"), "{told}");
        let outcome = last_reload(&site.status(), "nginx");
        assert_eq!(outcome, Some(ReloadOutcome::Done));
        old(pid);
    }
    let log = site.log("nginx").join("\n");
    assert!(
        log.contains(&format!("bind() to 127.0.0.1:{port} failed")),
        "{log}"
    );
    site.ctl(&["restart", "nginx"]).ok();
    let pid = site.status().pid("nginx");
    old(pid);

    // The next good configuration is taken and confirmed.
    drop(taken);
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(http_get(port, "/").map(|(code, _)| code), Some(204));
    site.site_file(&site_file);
    site.ctl(&["reconfigure"]).ok();
    // nginx's old workers keep the socket until they end.
    eventually("nobody listens there any more", || {
        TcpStream::connect(("127.0.0.1", port)).err()
    });
    assert_eq!(site.status().pid("nginx"), pid);
    let after = fs::read_to_string(&conf).unwrap();
    assert_ne!(token(&before), token(&after));
    assert_eq!(without_token(&before), without_token(&after));
}

fn token(text: &str) -> &str {
    let start = text.find("reload-").unwrap();
    text[start..].split('"').next().unwrap()
}

fn without_token(text: &str) -> String {
    text.replace(token(text), "")
}

/// nginx may fail to narrow its addresses from all to one by a reload: `ctl` succeeds exactly when
/// the new addresses are in force.
#[test]
fn a_narrowed_listen_is_narrowed_or_told() {
    need!(postgres());
    need!(nginx());
    let mut stack = stack("STANDIN_STOP_MS = '100'").unwrap();
    let only = r#"nginx.listen_addresses = ["127.0.0.1"]"#;
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let narrow = fs::read_to_string(&file).unwrap();
    assert!(narrow.contains(only));
    let wide = narrow.replace(only, "nginx.listen_addresses = ['*']");
    stack.site.site_file(&wide);
    stack.start();
    let is_open = || TcpStream::connect(("127.0.0.2", stack.nginx_port)).is_ok();
    assert!(is_open());
    stack.site.site_file(&narrow);
    let told = stack.site.ctl(&["reconfigure"]);
    assert_eq!(is_open(), told.code != 0, "{}", told.both());
    if told.code == 0 {
        stack.site.site_file(&wide);
        let told = stack.site.ctl(&["reconfigure"]);
        assert_eq!(is_open(), told.code == 0, "{}", told.both());
    }
}

/// No user waits for the renewal of a certificate, so the supervisor itself must confirm that nginx
/// has loaded it.
#[test]
fn a_renewed_certificate_is_confirmed() {
    need!(postgres());
    need!(nginx());
    let mut stack = stack("STANDIN_STOP_MS = '100'").unwrap();
    stack.over_tls(free_port());
    let site = &stack.site;
    let dir = site.path("etc/mattervisor/ssl");
    fs::create_dir_all(&dir).unwrap();
    let renew = || {
        let (crt, key) = (dir.join("localhost.crt"), dir.join("localhost.key"));
        self_signed(&crt, &key, "DNS:localhost", 90);
        fingerprint(&crt)
    };
    renew();
    stack.start();
    let site = &stack.site;
    let conf = site.path("run/mattervisor/nginx-conf/nginx.conf");
    let (pid, token) = (
        site.status().pid("nginx"),
        fs::read_to_string(&conf).unwrap(),
    );
    let print = renew();
    eventually("the new certificate is served", || {
        (served(stack.nginx_port, "localhost")? == print).then_some(())
    });
    site.wait_for("nginx is there", |status| status.ready("nginx"));
    assert_ne!(
        fs::read_to_string(&conf).unwrap(),
        token,
        "it has a new token"
    );

    site.wait_for("it is confirmed", |status| {
        last_reload(status, "nginx") == Some(ReloadOutcome::Done)
    });

    // A stopped nginx master confirms nothing.
    kill(pid, Signal::SIGSTOP);
    renew();
    site.wait_for("it is told", |status| {
        last_reload(status, "nginx") == Some(ReloadOutcome::NotConfirmed)
    });
    kill(pid, Signal::SIGCONT);
    site.ctl(&["reload", "nginx"]).ok();
    assert_eq!(site.status().pid("nginx"), pid);
}

/// The socket that a killed nginx leaves does not prevent the next start, under the same account or
/// another.
#[test]
fn the_socket_of_a_killed_nginx_is_no_obstacle() {
    need!(postgres());
    need!(nginx());
    let mut stack = stack("STANDIN_STOP_MS = '100'").unwrap();
    stack.start();
    let site = &stack.site;
    let own = |account: &str| site.path(&format!("run/mattervisor/nginx/{account}"));
    let account = if nix::unistd::geteuid().is_root() {
        "nobody"
    } else {
        "mattervisor-www"
    };
    let socket = own(account).join("reload.sock");
    let directory = |account: &str| fs::metadata(own(account)).unwrap();
    assert_eq!(directory(account).permissions().mode() & 0o7777, 0o700);
    // The pid may be reused, so the time of the socket tells two processes apart.
    let made = || fs::metadata(&socket).and_then(|it| it.modified()).ok();
    for signal in [Signal::SIGKILL, Signal::SIGQUIT] {
        let (pid, before) = (site.status().pid("nginx"), made());
        assert!(before.is_some());
        kill(pid, signal);
        site.wait_reborn("nginx", pid);
        assert_ne!(made(), before);
        site.ctl(&["reload", "nginx"]).ok();
    }
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // A new account gets a directory of its own for the socket.
    let file = site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(file).unwrap();
    let pid = site.status().pid("nginx");
    site.site_file(&site_file.replace(r#"nginx.username = "nobody""#, "nginx.username = 'daemon'"));
    site.ctl(&["reconfigure"]).ok();
    assert_ne!(site.status().pid("nginx"), pid);
    assert_ne!(directory("daemon").uid(), directory("nobody").uid());
    site.ctl(&["reload", "nginx"]).ok();
}

/// A line of `pg_hba.conf` that only `PostgreSQL` can judge fails the reload; left in place, the
/// line would prevent the next start.
#[test]
fn what_postgresql_leaves_out_is_a_failed_reload() {
    need!(postgres());
    let mut site = Site::new();
    site.use_catalog(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    hurry(&site, "postgresql");
    let small = "postgresql.enable = true\npostgresql.shared_buffers = '16MB'\n";
    site.site_file(small);
    site.start_ready();
    let pid = site.status().pid("postgresql");
    let entries = |entry: &str| {
        site.site_file(&format!(
            "{small}postgresql.custom_pg_hba_entries = ['{entry}']\n"
        ));
    };
    entries("host all all 10.0.0.0/8 ldap");
    let told = site.ctl(&["reconfigure"]).expect_code(1).both();
    assert!(told.contains("/pg_hba.conf line "), "{told}");
    assert!(told.contains("requires argument \"ldapbasedn\""), "{told}");
    assert!(told.contains("postgresql: runs with it again"), "{told}");
    assert_eq!(site.status().pid("postgresql"), pid);
    // PostgreSQL would not start with that line.
    let rules = site.path("run/mattervisor/postgresql-conf/pg_hba.conf");
    assert!(!fs::read_to_string(rules).unwrap().contains("ldap"));
    site.ctl(&["restart", "postgresql"]).ok();
    let pid = site.status().pid("postgresql");
    site.ctl(&["reconfigure"]).expect_code(1);
    assert_eq!(site.status().pid("postgresql"), pid);

    entries("host all all 10.0.0.0/8 scram-sha-256");
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(site.status().pid("postgresql"), pid);
    // An error in postgresql.auto.conf, which is not ours, makes `PostgreSQL` take none of the new
    // settings.
    let own = site.path("var/lib/mattervisor/postgresql/data/postgresql.auto.conf");
    let auto = fs::read_to_string(&own).unwrap();
    fs::write(&own, format!("{auto}no_such_parameter = 1\n")).unwrap();
    let told = site.ctl(&["reload", "postgresql"]).expect_code(1).both();
    assert!(
        told.contains("postgresql.auto.conf") && told.contains("no_such_parameter"),
        "{told}"
    );
    // A value of postgresql.auto.conf that needs a restart is its owner's affair and fails no
    // reload.
    fs::write(&own, format!("{auto}max_connections = 41\n")).unwrap();
    site.ctl(&["reload", "postgresql"]).ok();
    assert_eq!(site.status().pid("postgresql"), pid);
}

/// The query that confirms a reload copes with a line that cannot be parsed and so has no name, and
/// with a version of `PostgreSQL` that lacks a view. It calls no function of the database's own,
/// since such a function would run with the rights of the superuser.
#[test]
fn the_question_to_postgresql_stands_what_it_meets() {
    need!(postgres());
    need!(nginx());
    let mut stack = stack("STANDIN_STOP_MS = '100'").unwrap();
    stack.start();
    let site = &stack.site;
    let psql = |arguments: &[&str]| {
        let mut command = stack.postgres_program("psql");
        run(command.args(["-d", "postgres", "-XAtqw"]).args(arguments))
    };
    for function in [
        "format(text, text, integer, text)",
        "to_json(pg_hba_file_rules)",
        "left(text, integer)",
    ] {
        let body = "language plpgsql as $$ begin raise exception 'hijacked'; end $$";
        let returns = if function.starts_with("to_json") {
            "json"
        } else {
            "text"
        };
        let text = format!("create function public.{function} returns {returns} {body}");
        psql(&["-c", &text]).ok();
    }
    let entry = "postgresql.custom_pg_hba_entries = ['host all all 10.0.0.0/8 ldap']";
    let site_file = fs::read_to_string(site.path("etc/mattervisor/mattervisor.toml")).unwrap();
    with(&stack, entry);
    let told = site.ctl(&["reconfigure"]).expect_code(1).both();
    assert!(
        told.contains("requires argument \"ldapbasedn\"") && !told.contains("hijacked"),
        "{told}"
    );
    site.site_file(&site_file);
    site.ctl(&["reconfigure"]).ok();

    let dir = site.file("run/mattervisor/postgresql-conf");
    let question = fs::read_to_string(format!("{dir}/reload-confirm.sql")).unwrap();
    let own = psql(&["-c", "show mattervisor.reload_token"]).ok().stdout;
    let ask = |question: &str, token: &str| {
        let (token, dir) = (format!("token={}", token.trim()), format!("dir={dir}"));
        let file = site.path("question.sql");
        fs::write(&file, question).unwrap();
        psql(&["-v", &token, "-v", &dir, "-f", &file.display().to_string()])
    };
    ask(&question, &own).ok();
    for view in ["pg_hba_file_rules", "pg_ident_file_mappings"] {
        assert!(question.contains(view));
        ask(&question.replace(view, "pg_of_another_version"), &own).ok();
    }
    let other = ask(&question, "reload-other").both();
    assert!(
        other.contains("has not read its configuration again"),
        "{other}"
    );
    let auto = site.path("var/lib/mattervisor/postgresql/data/postgresql.auto.conf");
    let text = fs::read_to_string(&auto).unwrap();
    fs::write(&auto, format!("{text}what is this\n")).unwrap();
    let line = text.lines().count() + 1;
    let other = ask(&question, "reload-other").both();
    let wanted = format!("postgresql.auto.conf line {line}: syntax error");
    assert!(other.contains(&wanted), "{other}");
}
