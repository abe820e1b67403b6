//! Values that try to leave their place: a line, a quote or a name, or a file from which a message
//! would repeat them.

use super::{Machine, catalogue::shipped};
use crate::{Plan, Problems};

const URL: &str = "mattermost_external_url = \"https://mattermost.example.com\"\n";

fn file<'p>(plan: &'p Plan, service: &str, name: &str) -> &'p str {
    let files = &plan.services[service].files;
    let found = files.iter().find(|it| it.path.ends_with(name));
    &found.unwrap_or_else(|| panic!("no {name}")).content
}

/// All messages about a configuration, good or bad.
fn said(machine: &Machine) -> String {
    match machine.load() {
        Ok(plan) => Problems(plan.remarks).to_string(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_line_end_in_a_name_makes_nobody_a_superuser() {
    let attack = "mattermost.sql_user = \"mm\\\"\\nmattervisor /^.*$ \\\"postgres\"\n";
    insta::assert_snapshot!(shipped(&format!("{URL}{attack}")).errors(), @"/etc/mattervisor/mattervisor.toml:2: error: mattermost.sql_user: cannot contain a line break or another control character");
    // A regular expression in place of a role matches every role.
    let errors = shipped(&format!("{URL}mattermost.sql_user = '/^.*$'\n")).errors();
    assert!(errors.contains("does not begin with a slash"), "{errors}");
    let long = "é".repeat(32);
    let errors = shipped(&format!("{URL}postgresql.superuser = '{long}'\n")).errors();
    assert!(
        errors.contains("has 64 bytes, and 63 are the most"),
        "{errors}"
    );
}

#[test]
fn every_text_stays_in_its_line_unless_its_setting_may_have_several() {
    let service = "command = ['/a']\n[settings]\ns = {}\np = { type = 'path' }\nl = { type = 'list' }\n\
        m = { type = 'map' }\nc = { type = 'scalar' }\nmore = { multi_line = true }\n";
    let with = |site: &str| {
        let mut machine = Machine::new();
        machine.shipped("app", service).site(site);
        machine
    };
    for end in ["\\n", "\\r", "\\u001b", "\\u007f", "\\u0085", "\\u2028"] {
        for site in [
            format!("app.s = \"a{end}b\""),
            format!("app.p = \"/a{end}b\""),
            format!("app.l = [\"a\", \"a{end}b\"]"),
            format!("app.m = {{ a = \"a{end}b\" }}"),
            format!("app.m = {{ \"a{end}b\" = 1 }}"),
            format!("app.c = \"a{end}b\""),
        ] {
            let errors = with(&site).errors();
            assert!(errors.contains("cannot contain a line break"), "{errors}");
        }
    }
    with("app.more = \"a\\n\\tb\\r\\n\"").plan();
    let errors = with("app.more = \"a\\u001bb\"").errors();
    assert!(errors.contains("besides line ends and tabs"), "{errors}");
}

#[test]
fn names_are_quoted_wherever_they_stand() {
    let site = format!(
        "{URL}mattermost.sql_user = '''o'brien \\ \"x\"'''\n\
         mattermost.database_name = 'mm host=evil.example user=x'\n\
         postgresql.superuser = 'the boss (all)'\npostgres_exporter.enable = true\n"
    );
    let plan = shipped(&site).plan();
    assert_eq!(
        plan.services["mattermost"].env["MM_SQLSETTINGS_DATASOURCE"].value,
        r#"user='o\'brien \\ "x"' host=/run/mattervisor/postgresql port=5432 dbname='mm host=evil.example user=x'"#
    );
    insta::assert_snapshot!(file(&plan, "postgresql", "pg_ident.conf"), @r#"
    # Written by mattervisor from its site file; changes here are lost.
    # Map, account of the operating system, role. Without a map every account may be the role of its own name.
    mattervisor "postgres" "the boss (all)"
    mattervisor "postgres" "o'brien \ ""x"""
    mattervisor "mattermost" "o'brien \ ""x"""
    mattervisor root "the boss (all)"
    mattervisor root "o'brien \ ""x"""
    # The two roles above are for the accounts above: another one that is called like them is not meant.
    mattervisor "/^(?!(?:the boss \(all\)|o'brien \\ ""x"")$)(.*)$" \1
    "#);
    let plain = shipped(URL).plan();
    assert_eq!(
        plain.services["mattermost"].env["MM_SQLSETTINGS_DATASOURCE"].value,
        "user=mattermost host=/run/mattervisor/postgresql port=5432 dbname=mattermost_production"
    );
}

#[test]
fn a_network_is_one_word_of_its_line() {
    for attack in ["0.0.0.0/0 trust #", "a\\\"b", "@/etc/passwd", ""] {
        let site = format!("{URL}postgresql.md5_auth_cidr_addresses = [\"{attack}\"]\n");
        let errors = shipped(&site).errors();
        assert!(
            errors.contains("md5_auth_cidr_addresses: must be a network"),
            "{errors}"
        );
    }
    let good =
        "postgresql.trust_auth_cidr_addresses = ['10.0.0.0/8', '::1/128', 'samenet', '.lan']\n";
    shipped(&format!("{URL}{good}")).plan();
}

#[test]
fn a_value_of_redis_is_no_directive() {
    let site = "redis.enable = true\nredis.bind = '127.0.0.1 ::1'\nredis.maxmemory = '1gb\"'\n\
        redis.save = ['900 1', '60 10000']\nredis.master = false\nredis.master_ip = 'a b'\n\
        redis.parameters = { 'notify-keyspace-events' = 'Ex', 'oom-score-adj-values' = '0 200 800' }\n";
    let plan = shipped(site).plan();
    let text = file(&plan, "redis", "redis.conf");
    for line in [
        "bind \"127.0.0.1\" \"::1\"",
        "maxmemory \"1gb\\\"\"",
        "save \"900\" \"1\"",
        "replicaof \"a b\" 6379",
        "client-output-buffer-limit replica \"256mb\" \"64mb\" \"60\"",
        "\"oom-score-adj-values\" 0 200 800",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    for attack in [
        "redis.bind = \"::1\\nloadmodule /x.so\"",
        "redis.parameters = { hz = \"1\\nloadmodule /x.so\" }",
    ] {
        let errors = shipped(&format!("redis.enable = true\n{attack}\n")).errors();
        assert!(errors.contains("cannot contain a line break"), "{errors}");
    }
}

#[test]
fn no_service_is_root_by_a_setting() {
    for name in ["0", "x,y", "a\\\"b", "-x", "a b"] {
        let errors = shipped(&format!("{URL}mattermost.username = \"{name}\"\n")).errors();
        assert!(
            errors.contains("mattervisor.toml:2: error: mattermost.username: "),
            "{errors}"
        );
    }
    insta::assert_snapshot!(shipped(&format!("{URL}mattermost.username = 'root'\n")).errors(), @r"
    /etc/mattervisor/mattervisor.toml:2: error: mattermost.username: a service that is given root as its account is given the whole machine
      hint: name an account of its own; a service that must be root has no `user` in its service file
    ");
    let own = Machine::new()
        .shipped("app", "command = ['/a']\nuser = '0'\n")
        .errors();
    assert!(own.contains("is given root as its account"), "{own}");
    let wrong = Machine::new()
        .shipped("app", "command = ['/a']\nuser = '+0'\n")
        .errors();
    assert!(wrong.contains("cannot be the name"), "{wrong}");
    let first_last = Machine::new()
        .shipped("app", "command = ['/a']\nuser = 'first.last'\n")
        .plan();
    assert_eq!(
        first_last.services["app"].user.as_deref(),
        Some("first.last")
    );
}

#[test]
fn what_a_service_puts_in_the_place_of_a_version_is_not_repeated() {
    let hush = "mattermost.gitlab_secret = \"hush-gitlab\"\n";
    let mut machine = shipped(URL);
    machine
        .put("/var/lib/mattervisor/postgresql/data/PG_VERSION", hush)
        .put("/var/lib/mattervisor/mattermost/VERSION", hush);
    let plan = machine.plan();
    let broken = plan.services["postgresql"].broken.as_deref().unwrap();
    assert_eq!(
        broken,
        "/var/lib/mattervisor/postgresql/data/PG_VERSION does not hold a version to choose postgres_binary by"
    );
    let remarks = said(&machine);
    assert!(
        remarks.contains("mattermost/VERSION does not hold a version such as"),
        "{remarks}"
    );
    assert!(
        !remarks.contains("hush") && !format!("{:?}", plan.services).contains("hush"),
        "{remarks}"
    );
    // The data directory tells the version of the database, so no newest binary is guessed.
    machine.put("/var/lib/mattervisor/postgresql/data/PG_VERSION", "15\n");
    assert_eq!(machine.plan().services["postgresql"].broken, None);
}

#[test]
fn a_file_of_variables_is_not_repeated_either() {
    let service = "command = ['/a']\nenv_files = ['/srv/env']\n";
    for text in [
        "root:$y$hush:19000:0:99999:7:::\n",
        "root:$y$hush=:19000\n",
        "hush hush = x\n",
        "A='hush\n",
        "A=\"hush\\q\n",
        "A=hush\0\n",
    ] {
        let mut machine = Machine::new();
        machine.shipped("app", service).put("/srv/env", text);
        let said = said(&machine);
        assert!(
            said.contains("/srv/env:1") && !said.contains("hush"),
            "{said}"
        );
    }
}

/// Whatever typing mistake makes a file invalid TOML, the message contains no value of the file.
#[test]
fn a_broken_file_of_secrets_is_not_repeated() {
    let good = "app.token = \"hush1\"\napp.key = 'hush2'\n[notify.x]\nwebhook = \"https://h/hush3\"\n\
        [app.env]\nPIN = 4711\nLIST_PASS = \"\"\"\nhush4\nhush5: hush6\"\"\"\n";
    let service =
        "command = ['/a']\n[settings]\ntoken = { secret = true }\nkey = { secret = true }\n";
    let look = |text: &str| {
        let mut machine = Machine::new();
        machine.shipped("app", service).secrets(text);
        let said = said(&machine);
        assert!(
            !said.contains("hush") && !said.contains("4711"),
            "{text}\n{said}"
        );
    };
    look(good);
    for at in 0..=good.len() {
        for wrong in [
            "\"", "'", "\n", "=", "[", "]", "{", "#", ":", " ", "\\", "=>", ",", "“",
        ] {
            look(&format!("{}{wrong}{}", &good[..at], &good[at..]));
        }
        if at < good.len() {
            look(&format!("{}{}", &good[..at], &good[at + 1..]));
            look(&good[..at]);
        }
    }
}

#[test]
fn a_variable_is_shown_only_where_something_says_that_it_is_harmless() {
    let site = format!(
        "{URL}mattermost.env = {{ MM_LDAPSETTINGS_BINDPASSWORD = '/dGhpcy/hush', SMTP_PASS = 'hush', \
         MM_LICENSE = 'hush', MM_CALLS_KEYS = 'hush', ANY = '/hush', PIN = 4711, \
         http_proxy = 'u:hush@proxy:3128', NO_PROXY = 'shown', MM_FEATUREFLAGS_X = 'shown', \
         MM_TEAMSETTINGS_SITENAME = 'shown', mm_emailsettings_feedbackname = 'shown', EMPTY = '', ON = true }}\n\
         redis.enable = true\nredis.env = {{ MALLOC_CONF = 'hush', TZ = 'shown' }}\n"
    );
    let plan = shipped(&site).plan();
    let keys =
        ["mattermost", "redis"].map(|name| crate::compare::describe::service(&plan.services[name]));
    let text = format!("{keys:?} {:?}", plan.services);
    assert!(!text.contains("hush") && !text.contains("4711"), "{text}");
    let env: Vec<_> = keys
        .iter()
        .flatten()
        .filter(|it| it.value == "shown")
        .collect();
    assert_eq!(env.len(), 5, "{env:?}");
    // A value that only may be a secret is not hidden elsewhere.
    let site = format!("{URL}mattermost.env = {{ WHERE = '/opt/mattermost' }}\n");
    let keys = crate::compare::describe::service(&shipped(&site).plan().services["mattermost"]);
    let found = keys.iter().find(|it| it.key == "working_dir").unwrap();
    assert_eq!(found.value, "/opt/mattermost");
}

#[test]
fn a_file_with_a_secret_that_the_table_knows_is_closed_to_others() {
    let open = |env: &str| {
        let mut machine = shipped(&format!("{URL}mattermost.env = {{ {env} }}\n"));
        machine.mode("/etc/mattervisor/mattervisor.toml", 0o644);
        machine.errors()
    };
    let said = ":2: error: mattermost.env.MM_SERVICESETTINGS_SPLITKEY: the file holds this secret";
    let errors = open("MM_SERVICESETTINGS_SPLITKEY = '4711'");
    assert!(errors.contains(said), "{errors}");
    assert!(open("MM_LDAPSETTINGS_BINDPASSWORD = '/hush'").contains("BINDPASSWORD: the file"));
    assert_eq!(open("MM_LICENSE = 'x', ANY = 'x'"), "no error");
}

#[test]
fn names_that_anybody_may_see_need_no_table() {
    let service = "command = ['/a']\n[variables]\npublic = ['NODE_*']\n";
    let mut machine = Machine::new();
    machine
        .shipped("app", service)
        .site("app.env = { NODE_ENV = 'shown', OTHER = 'hush' }\n");
    let plan = machine.plan();
    let env = &plan.services["app"].env;
    assert!(!env["NODE_ENV"].private && env["OTHER"].private);
}

#[test]
fn lines_of_an_administrator_in_a_file_are_not_shown() {
    let with = |line: &str| {
        let site =
            format!("{URL}mattermost_nginx.custom_nginx_config = \"\"\"\n  {line}\n\"\"\"\n");
        shipped(&site).plan()
    };
    let (old, new) = (with("auth old-hush;"), with("auth hush;"));
    let file = |plan: &Plan| plan.services["nginx"].files[0].clone();
    let told = crate::compare::file_diff::changed(&file(&old), &file(&new));
    assert_eq!(
        told,
        Some((vec!["(secret)".into()], vec!["(secret)".into()]))
    );
    assert!(file(&new).content.contains("auth hush;"));
}
