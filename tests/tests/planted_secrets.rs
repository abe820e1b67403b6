//! A secret comes out nowhere: not in a log, a plan, a message, an event, a metric, an answer of
//! the API, a command line, nor in any file except the few that must hold secrets, which are
//! private.
//!
//! Each place where an administrator can write a secret gets a secret of its own. Then the test
//! does all that makes programs talk, and searches all output for the secrets, also in base64 and
//! in percent-encoding.

mod listening;
mod mistakes;
mod planted;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use mattervisor_tests::{
    Site, StatusExt, eventually, free_port, kill, need, nginx, openssl, postgres,
};
use nix::sys::signal::Signal;

use crate::stack::Stack;
use listening::{ask_everything, search_files, search_processes};
use mistakes::break_everything;
use planted::Planted;
/// Limit of the stop of the whole stack.
const STOP: Duration = Duration::from_secs(240);

/// The settings that enable redis, if redis is installed; the password is in secrets.toml.
fn redis() -> &'static str {
    if !Path::new("/usr/bin/redis-server").exists() {
        ""
    } else if nix::unistd::geteuid().is_root() {
        "redis.enable = true\nredis.username = \"nobody\"\nredis.group = \"nogroup\"\n"
    } else {
        "redis.enable = true\n"
    }
}

fn certificate(directory: &Path) -> String {
    fs::create_dir_all(directory).unwrap();
    let at = |end: &str| directory.join(format!("localhost.{end}"));
    openssl::self_signed(&at("crt"), &at("key"), "DNS:localhost", 90);
    let key = fs::read_to_string(directory.join("localhost.key")).unwrap();
    key.lines().nth(5).unwrap().to_owned()
}

/// The real stack over TLS, with a secret in every place, through a start, a crash, mistakes, a
/// change and an end.
#[test]
fn what_is_secret_comes_out_nowhere() {
    let bin = need!(postgres());
    need!(nginx());
    let mut planted = Planted::default();
    let mut stack = Stack::new(
        bin,
        &format!(
            "STANDIN_STOP_MS = \"100\", SMTP_PASSWORD = \"{}\", PROXY = \"http://me:{}@127.0.0.1:1/\"",
            planted.plant("the env map"),
            planted.plant("a URL in the env map"),
        ),
    );
    stack.over_tls(free_port());
    let key = certificate(&stack.site.path("etc/mattervisor/ssl"));
    planted.secrets.push(("the TLS key", key));
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    // Nobody answers on this port, so that the delivery has something to complain of.
    let nobody = free_port();
    let redis = redis();
    let site_file = format!(
        "{}{redis}mattermost.gitlab_secret = \"{}\"\n[notify.chat]\nwebhook = \"http://127.0.0.1:{nobody}/hooks/{}\"\non = [\"failed\", \"restarted\", \"recovered\"]\n",
        fs::read_to_string(&file).unwrap(),
        planted.plant("the site file"),
        planted.plant("the webhook"),
    );
    let socket = stack.site.file("run/mattervisor/postgresql");
    let secrets = format!(
        "mattermost.sql_data_source = \"user=mattermost password='{}' host={socket} port=5432 dbname=mattermost_production\"\n\
         mattermost.sql_at_rest_encrypt_key = \"{}\"\nredis.password = \"{}\"\nbot.token = \"{}\"\n\
         [notify.ops]\nwebhook = \"http://127.0.0.1:{nobody}/ops?token={}\"\n",
        planted.plant("the DSN"),
        &format!("{:0<32}", planted.plant("the at-rest key")),
        planted.plant("redis"),
        planted.plant("a service's own setting"),
        planted.plant("a webhook's query"),
    );
    for (path, text) in [
        (file, &site_file),
        (stack.site.path("etc/mattervisor/secrets.toml"), &secrets),
        (
            stack.site.path("etc/bot.env"),
            &format!("BOT_PASSWORD={}\n", planted.plant("an env file")),
        ),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    bot(&stack.site);
    stack.start();
    let site = &stack.site;
    site.wait_state("bot", "running");
    let pid = site.status().pid("mattermost");
    kill(pid, Signal::SIGKILL);
    site.wait_reborn("mattermost", pid);
    eventually("a delivery has failed", || {
        site.supervisor_log().contains("chat").then_some(())
    });
    ask_everything(site, &mut planted);
    search_processes(site, &mut planted);
    break_everything(site, &mut planted, &site_file, &secrets);
    change(site, &mut planted, &secrets);
    ask_everything(site, &mut planted);
    search_processes(site, &mut planted);
    search_files(site, &mut planted, true);
    let keeper_log = fs::read(site.path("supervisor.log")).unwrap();
    planted.note("the supervisor's log", keeper_log);
    // On a busy machine the database takes its time for the last checkpoint.
    stack.site.signal(Signal::SIGTERM);
    assert_eq!(stack.site.wait_end(STOP), 0);
    search_files(&stack.site, &mut planted, false);
    planted.search();
}

/// A service with two secrets: a setting, which is in a rendered file as well, and a variable in an
/// env file.
fn bot(site: &Site) {
    let command = mattervisor_tests::child_command(site.root(), &["sleep"]);
    let (conf, env) = (site.file("var/bot.conf"), site.file("etc/bot.env"));
    site.service(
        "bot",
        &format!(
            "{command}env_files = ['{env}']\n[settings]\ntoken = {{ type = 'string', secret = true, env = 'BOT_TOKEN' }}\n\
             [[files]]\npath = '{conf}'\ncontent = 'token = {{{{ token }}}}'\n\
             validate = ['/bin/grep', '-q', 'token', '{{{{ candidate }}}}']\n"
        ),
    );
}

/// Changes a secret: the output says that the variable changes, and shows no value.
fn change(site: &Site, planted: &mut Planted, secrets: &str) {
    let before = planted
        .secrets
        .iter()
        .find(|it| it.0 == "a service's own setting");
    let before = before.unwrap().1.clone();
    let after = planted.plant("a changed setting");
    let path = site.path("etc/mattervisor/secrets.toml");
    fs::write(&path, secrets.replace(&before, &after)).unwrap();
    let pid = site.status().pid("bot");
    for words in [
        &["diff-config"][..],
        &["reconfigure", "--dry-run"],
        &["reconfigure"],
    ] {
        let told = site.ctl(words);
        assert!(
            told.both().contains("BOT_TOKEN"),
            "{words:?}: {}",
            told.both()
        );
        planted.told(&format!("ctl {}", words.join(" ")), &told);
    }
    site.wait_reborn("bot", pid);
}

/// A generated secret is made once: a second start, and reconfigures and checks at the same time,
/// keep the secret and what the administrator wrote beside it.
#[test]
fn a_generated_secret_is_made_once_and_kept() {
    let mut site = Site::new();
    let keys =
        "[settings]\nkey = { type = 'string', secret = true, generate = 'hex:16', env = 'KEY' }\n";
    for name in ["a", "b"] {
        site.child(name, &["env", "sleep"], keys);
    }
    let path = site.path("etc/mattervisor/secrets.toml");
    fs::write(
        &path,
        "# mine\na.key = \"0123456789abcdef0123456789abcdef\"\n",
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    site.ctl(&["check-config"]).ok();
    assert_eq!(
        fs::read_to_string(&path).unwrap().lines().count(),
        2,
        "a check makes nothing"
    );
    site.start_ready();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("# mine\n")
            && text.contains("a.key = \"0123456789abcdef0123456789abcdef\""),
        "{text}"
    );
    assert_eq!(text.matches("key = ").count(), 2, "{text}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    // Many requests at once, with one more secret to be made.
    site.child("c", &["env", "sleep"], keys);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let site = &site;
            scope.spawn(move || match number % 3 {
                // A reconfigure is refused while another is under way.
                0 => drop(site.ctl(&["reconfigure"])),
                1 => drop(site.ctl(&["check-config"])),
                _ => drop(site.get("/v1/check")),
            });
        }
    });
    site.wait_state("c", "running");
    let made = fs::read_to_string(&path).unwrap();
    assert_eq!(made.matches("c.key = ").count(), 1, "{made}");
    for line in text.lines() {
        assert!(made.contains(line), "{line} is gone: {made}");
    }
    let pids = |site: &Site| ["a", "b", "c"].map(|name| site.status().pid(name));
    let before = pids(&site);
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(pids(&site), before);
    assert_eq!(site.stop(), 0);
    site.start_ready();
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    let values: BTreeMap<String, String> = ["a", "b", "c"]
        .map(|name| {
            (
                name.to_owned(),
                site.wait_log(name, |line| line.starts_with("KEY=")),
            )
        })
        .into();
    for value in values.values() {
        let value = value.trim_start_matches("KEY=");
        assert!(
            made.contains(value) && value.len() == 32,
            "{value} is not in {made}"
        );
    }
}
