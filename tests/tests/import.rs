//! `ctl import` needs nothing but its file, and the site file that it writes runs.

use std::{
    collections::BTreeMap, fs, io::Write, os::unix::fs::PermissionsExt, path::PathBuf,
    process::Command,
};

use mattervisor_tests::{Site, StatusExt, binary, need, nginx, postgres, run};
use serde_json::Value;

use crate::stack::Stack;

const RUBY: &str = "external_url 'https://gitlab.example.com'\n\
    mattermost_external_url 'https://mattermost.example.com'\n\
    mattermost['service_maximum_login_attempts'] = 10\n\
    mattermost['gitlab_secret'] = 'hunter2'\n\
    mattermost['service_read_timeout'] = ENV['T']\n\
    mattermost['env'] = { 'HTTP_PROXY' => 'my_proxy' }\n";

/// `ctl` on an empty root, without any catalogue.
fn ctl(site: &Site, arguments: &[&str]) -> mattervisor_tests::Ctl {
    let mut command = Command::new(binary("ctl"));
    command
        .env("NO_COLOR", "1")
        .env_remove("MATTERVISOR_CATALOG");
    command.arg("--root").arg(site.root()).args(arguments);
    run(&mut command)
}

fn put(site: &Site, name: &str, text: &str) -> String {
    let path = site.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn without_an_output_the_file_is_printed_and_the_report_is_beside_it() {
    let site = Site::new();
    let file = put(&site, "gitlab.rb", RUBY);
    let said = ctl(&site, &["import", "gitlab-rb", &file]).ok();
    let table: toml::Table = toml::from_str(&said.stdout).unwrap();
    assert_eq!(
        table["mattermost"]["env"]["MM_SERVICESETTINGS_MAXIMUMLOGINATTEMPTS"].as_str(),
        Some("10")
    );
    assert_eq!(table["mattermost_nginx"]["enable"].as_bool(), Some(false));
    for words in [
        "line 3  ",
        "mattermost['service_read_timeout'] = ENV['T']",
        "stays in GitLab's gitlab.rb",
        "ctl gitlab vhost",
        "with -o FILE they go into secrets.toml",
    ] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    assert!(!said.both().contains("hunter2"), "{}", said.both());
    assert!(!site.path("etc/mattervisor/secrets.toml").exists());
}

#[test]
fn standard_input_is_a_file_too() {
    let site = Site::new();
    put(&site, "gitlab.rb", RUBY);
    // `run` gives programs an empty standard input, so a shell gives this one another.
    let line = format!(
        "{:?} --root {:?} import gitlab-rb - --format json < {:?}",
        binary("ctl"),
        site.root(),
        site.path("gitlab.rb")
    );
    let said = run(Command::new("sh").arg("-c").arg(line)).ok();
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["person"][0]["line"], 5);
    assert!(json["site"].as_str().unwrap().contains("my_proxy"));
    assert!(!said.both().contains("hunter2"));
}

#[test]
fn what_is_not_there_or_not_known_is_refused() {
    let site = Site::new();
    let file = put(&site, "gitlab.rb", RUBY);
    let wrong = put(&site, "wrong.rb", "mattermost['x'] = {\n");
    for (arguments, code, words) in [
        (vec!["import", "gitlab.yml", &file], 2, "gitlab-rb"),
        (vec!["import"], 2, "KIND"),
        (vec!["import", "gitlab-rb"], 2, "FILE"),
        (
            vec!["import", "gitlab-rb", "/no/such.rb"],
            1,
            "no such file",
        ),
        (vec!["import", "gitlab-rb", "/"], 1, "it is a directory"),
        (
            vec!["import", "gitlab-rb", &wrong],
            1,
            "wrong.rb:1:19: `{` is not closed",
        ),
        (
            vec!["import", "gitlab-rb", &file, "-o", "/no/such/x.toml"],
            1,
            "no such directory",
        ),
    ] {
        let said = ctl(&site, &arguments).expect_code(code);
        assert!(
            said.stderr.contains(words),
            "{arguments:?}: {}",
            said.stderr
        );
        assert_eq!(said.stdout, "");
    }
    if !nix::unistd::geteuid().is_root() {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        let said = ctl(&site, &["import", "gitlab-rb", &file]).expect_code(6);
        assert!(said.stderr.contains("not allowed"), "{}", said.stderr);
    }
}

/// Secrets and variables of GitLab's package are found at their usual paths without being named.
#[test]
fn what_lies_where_gitlab_puts_it_is_found() {
    let site = Site::new();
    let file = put(&site, "etc/gitlab/gitlab.rb", RUBY);
    put(
        &site,
        "etc/gitlab/gitlab-secrets.json",
        "{\"mattermost\":{\"sql_at_rest_encrypt_key\":\"stale\"}}",
    );
    put(
        &site,
        "opt/gitlab/etc/mattermost/env/MM_SQLSETTINGS_ATRESTENCRYPTKEY",
        "hunter3-of-thirty-two-characters\n",
    );
    let out = site.file("etc/mattervisor/mattervisor.toml");
    fs::remove_file(&out).unwrap();
    let said = ctl(&site, &["import", "gitlab-rb", &file, "-o", &out]).ok();
    for name in ["gitlab-secrets.json", "etc/mattermost/env", "secrets.toml"] {
        assert!(said.stdout.contains(name), "{}", said.stdout);
    }
    let secrets = fs::read_to_string(site.path("etc/mattervisor/secrets.toml")).unwrap();
    assert!(
        secrets.contains("sql_at_rest_encrypt_key = \"hunter3-of-thirty-two-characters\""),
        "{secrets}"
    );
    assert!(!said.both().contains("hunter"), "{}", said.both());
    // A second import does not overwrite the site file, and says so.
    let said = ctl(&site, &["import", "gitlab-rb", &file, "-o", &out]).expect_code(1);
    assert!(said.stderr.contains("not overwritten"), "{}", said.stderr);
}

/// The variables of a process.
fn environ(pid: i32) -> BTreeMap<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let pairs = text
        .split_terminator('\0')
        .filter_map(|it| it.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A stack whose site file was imported, with its external URL and Mattermost's port.
fn imported_stack(bin: PathBuf) -> (Stack, String, String) {
    let stack = Stack::new(bin, "");
    let site_file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let before = fs::read_to_string(&site_file).unwrap();
    let before: Vec<&str> = before.lines().map(str::trim_start).collect();
    fs::remove_file(&site_file).unwrap();
    let of = |key: &str| {
        let line = before.iter().find(|it| it.starts_with(key)).unwrap();
        line.split(" = ")
            .nth(1)
            .unwrap()
            .trim_matches('"')
            .to_owned()
    };
    let (url, port) = (of("mattermost_external_url"), of("mattermost.service_port"));
    let ruby = format!(
        "mattermost_external_url '{url}'\ngitlab_rails['enable'] = false\n\
         redis['enable'] = false\npostgres_exporter['enable'] = false\ngrafana['enable'] = false\n\
         mattermost['service_port'] = '{port}'\nmattermost['team_max_users_per_team'] = 70\n\
         mattermost['env'] = {{ 'NO_PROXY' => 'my_no_proxy', 'STANDIN_STOP_MS' => 100 }}\n\
         mattermost_nginx['listen_addresses'] = ['127.0.0.1']\nnginx['worker_processes'] = 1\n\
         postgresql['shared_buffers'] = '16MB'\npostgresql['max_connections'] = 40\n"
    );
    let file = put(&stack.site, "gitlab.rb", &ruby);
    let secrets = put(
        &stack.site,
        "secrets.json",
        &format!("{{\"mattermost\":{{\"sql_at_rest_encrypt_key\":\"{KEY}\"}}}}"),
    );
    let out = site_file.display().to_string();
    let arguments = [
        "import",
        "gitlab-rb",
        &file,
        "--secrets",
        &secrets,
        "-o",
        &out,
    ];
    let said = ctl(&stack.site, &arguments).ok();
    assert!(said.stdout.contains(" 0 for you"), "{}", said.stdout);
    // Paths of programs and names of accounts are this machine's own, so the import cannot know
    // them.
    let here = [
        "mattermost.install_dir",
        "mattermost.username",
        "mattermost.group",
        "nginx.username",
        "nginx.group",
    ];
    let own = before
        .iter()
        .filter(|it| here.iter().any(|key| it.starts_with(key)));
    let mut text = fs::OpenOptions::new()
        .append(true)
        .open(&site_file)
        .unwrap();
    for line in own {
        writeln!(text, "{line}").unwrap();
    }
    (stack, url, port)
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// An imported site comes up: Mattermost has the variables that GitLab's package gave it, and `ctl
/// env` shows the variables of the process.
#[test]
fn what_was_imported_runs_with_the_environment_that_it_had() {
    let bin = need!(postgres());
    need!(nginx());
    let (mut stack, url, port) = imported_stack(bin);
    stack.site.ctl(&["check-config"]).ok();
    stack.start();
    let has = environ(stack.site.status().pid("mattermost"));
    let listen = format!("127.0.0.1:{port}");
    for (name, value) in [
        ("MM_SERVICESETTINGS_SITEURL", url.as_str()),
        ("MM_SERVICESETTINGS_LISTENADDRESS", &listen),
        ("MM_SERVICESETTINGS_ENABLEAPITEAMDELETION", "true"),
        ("MM_TEAMSETTINGS_SITENAME", "GitLab Mattermost"),
        ("MM_TEAMSETTINGS_MAXUSERSPERTEAM", "70"),
        ("MM_SQLSETTINGS_DRIVERNAME", "postgres"),
        ("MM_SQLSETTINGS_ATRESTENCRYPTKEY", KEY),
        ("MM_GITLABSETTINGS_ENABLE", "false"),
        ("GODEBUG", "tlsmlkem=0"),
        ("NO_PROXY", "my_no_proxy"),
    ] {
        assert_eq!(has.get(name).map(String::as_str), Some(value), "{name}");
    }
    let source = &has["MM_SQLSETTINGS_DATASOURCE"];
    let ends = source.starts_with("user=gitlab_mattermost ")
        && source.ends_with(" port=5432 dbname=mattermost_production");
    assert!(ends, "{source}");
    let arguments = ["env", "mattermost", "--reveal", "--format", "json"];
    let said = stack.site.ctl(&arguments).ok();
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    for variable in json["variables"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let value = variable["value"].as_str();
        assert_eq!(value, has.get(name).map(String::as_str), "{name}");
    }
}
