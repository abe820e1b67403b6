//! A secret comes out nowhere: not in a log, a plan, a message, an event, a metric, an answer of
//! the API, a command line, nor in any file but the few that must hold it, which are root's alone.
//!
//! Each place where an administrator can write a secret gets one of its own; then all is done that
//! makes programs talk, and all that was said is searched, also for what base64 and percent signs
//! make of them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Duration,
};

use mattervisor_tests::{
    Ctl, StatusExt, World, eventually, free_port, kill, need, nginx, postgres, run,
};
use nix::sys::signal::Signal;

use crate::stack::Stack;

/// What was planted: where, and what to look for.
#[derive(Default)]
struct Planted {
    secrets: Vec<(&'static str, String)>,
    /// What was said and by whom.
    said: Vec<(String, String)>,
}

impl Planted {
    /// A new secret, for this place. It has what encodings change.
    fn plant(&mut self, place: &'static str) -> String {
        let number = self.secrets.len();
        let secret = format!(
            "pl4nt3d+{number:02}/{:08x}~hush",
            0x9e37_79b9_u32.wrapping_mul(17 + u32::try_from(number).unwrap())
        );
        self.secrets.push((place, secret.clone()));
        secret
    }

    fn note(&mut self, what: &str, bytes: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        self.said.push((what.to_owned(), text));
    }

    fn told(&mut self, what: &str, told: &Ctl) {
        self.note(what, told.both());
    }

    /// Fails the test for each place where one has come out.
    fn search(&self) {
        assert!(!self.secrets.is_empty() && !self.said.is_empty());
        let mut leaks = Vec::new();
        for (place, secret) in &self.secrets {
            for needle in disguises(secret) {
                for (what, text) in &self.said {
                    if text.contains(&needle) {
                        leaks.push(format!("the secret of {place}, as {needle}, in {what}"));
                    }
                }
            }
        }
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

/// The secret as it is, percent-encoded, and what is the same of it in base64 wherever it begins.
fn disguises(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut all = vec![secret.to_owned(), percent.clone(), percent.to_lowercase()];
    // JSON may write a slash with a backslash.
    all.push(secret.replace('/', "\\/"));
    for skipped in 0..3 {
        let mut bytes = vec![0; skipped];
        bytes.extend(secret.bytes());
        let text = base64(&bytes);
        // The first characters have bits of what stands before, the last of what comes behind.
        let first = [0, 2, 3][skipped];
        let whole = bytes.len() / 3 * 4;
        all.push(text[first..whole].to_owned());
    }
    all
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, at| {
            word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for place in 0..4 {
            out.push(char::from(
                DIGITS[((word >> (18 - 6 * place)) & 63) as usize],
            ));
        }
    }
    out
}

/// Patience with an end of the whole stack.
const STOP: Duration = Duration::from_secs(240);

/// Files that must hold a secret, all of them their owner's alone.
const HOLDERS: [&str; 9] = [
    "etc/mattervisor/mattervisor.toml",
    "etc/mattervisor/secrets.toml",
    "etc/mattervisor/ssl/",
    "etc/bot.env",
    "var/bot.conf",
    "run/mattervisor/redis-conf/redis.conf",
    "var/lib/mattervisor/plan",
    "var/lib/mattervisor/kept-plans.json",
    "var/lib/mattervisor/previous",
];

/// Every file under the root, but those that must hold them.
fn search_files(world: &World, planted: &mut Planted, running: bool) {
    let mut left = vec![world.root().to_owned()];
    let mut kept = 0;
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                // What the database writes is looked at once, when it is down.
                if running && path.ends_with("postgresql/data") {
                    continue;
                }
                left.push(path);
            } else if kind.is_file() {
                let below = path
                    .strip_prefix(world.root())
                    .unwrap()
                    .display()
                    .to_string();
                let Ok(content) = fs::read(&path) else {
                    continue;
                };
                if HOLDERS.iter().any(|holder| below.starts_with(holder)) {
                    let mode = fs::metadata(&path).unwrap().mode() & 0o077;
                    let text = String::from_utf8_lossy(&content);
                    let mut secrets = planted.secrets.iter();
                    let holds = secrets.any(|(_, secret)| text.contains(secret));
                    assert!(!holds || mode == 0, "{below} holds a secret: mode {mode:o}");
                    kept += usize::from(holds);
                } else {
                    planted.note(&below, content);
                }
            }
        }
    }
    assert!(kept >= 3, "the secrets are nowhere at all");
}

/// Command lines of all processes of the root, and the environment of the supervisor itself.
fn search_processes(world: &World, planted: &mut Planted) {
    for pid in world.processes() {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let line = read("cmdline");
        let name = String::from_utf8_lossy(&line).replace('\0', " ");
        if name.contains("supervisor") {
            planted.note(&format!("the environment of {name}"), read("environ"));
        }
        planted.note(&format!("the command line of {pid}"), line);
    }
}

fn ask_everything(world: &World, planted: &mut Planted) {
    for words in [
        "status",
        "status --format json",
        "status --usage",
        "check-config",
        "check-config --format json",
        "show-config",
        "show-config --format json",
        "diff-config",
        "diff-config --format json",
        "reconfigure --dry-run",
        "reconfigure --dry-run --format json",
        "why mattermost",
        "why bot",
        "why bot --format json",
        "env mattermost",
        "env mattermost --format json",
        "env bot",
        "events",
        "events --format json",
        "events --changes",
        "events --changes --since 30d --format json",
        "logs",
        "logs --files",
        "logs --format json",
        "service-list",
        "version",
    ] {
        let arguments: Vec<&str> = words.split(' ').collect();
        planted.told(&format!("ctl {words}"), &world.ctl(&arguments));
    }
    let api = world.get("/v1/openapi.json");
    let api: serde_json::Value = serde_json::from_str(&api.body).unwrap();
    let mut asked = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        for service in ["mattermost", "bot"] {
            let path = path.replace("{name}", service).replace("{id}", "none");
            let reply = world.get(&path);
            planted.note(
                &format!("GET {path}"),
                format!("{}{}", reply.head, reply.body),
            );
            asked += 1;
        }
    }
    assert!(asked >= 20, "too few routes: {asked}");
}

/// Lines that are wrong in one way each, with a secret in them.
fn mistakes(own: &str) -> Vec<String> {
    vec![
        format!("mattermost.gitlab_secret = {own}"),
        format!("mattermost.gitlab_secret = \"{own}"),
        format!("mattermost.gitlab_secret = ['{own}']"),
        format!("mattermost.gitlab_secret = {{ x = '{own}' }}"),
        format!("mattermost['gitlab_secret'] = '{own}'"),
        format!("mattermost['gitlab_secret'] = {own}"),
        format!("gitlab_secret '{own}'"),
        format!("gitlab_secret: {own}"),
        format!("mattermost.gitlab_secret = “{own}”"),
        format!("mattermost.gitlab_secret = \"{own}\\q\""),
        format!("mattermost.gitlab_secret = \"{own}\\u0000\""),
        format!("mattermost.gitlab_secrt = '{own}'"),
        format!("mattermost.sql_data_source = ['postgres://mm:{own}@db/x']"),
        format!(
            "mattermost.sql_at_rest_encrypt_key = '{own}'\nmattermost.sql_at_rest_encrypt_key = '{own}'"
        ),
        format!("mattermost.env = {{ SMTP_PASSWORD = ['{own}'] }}"),
        format!("mattermost.env = {{ SMTP_PASSWORD = '{own}', 'a b' = '{own}' }}"),
        format!("mattermost.env = {{ 'SMTP_PASSWORD' => '{own}' }}"),
        format!(
            "mattermost.home = \"postgres://u:{own}@h/\"\nmattermost.service_site_url = \"https://u:{own}@h:99999/\""
        ),
        format!("notify.chat.webhook = \"ftp://127.0.0.1/hooks/{own}\""),
        format!("notify.chat.webhook = ['http://127.0.0.1/hooks/{own}']"),
        format!("notify.chat.webhook = \"http://127.0.0.1:99999/hooks/{own}\""),
        format!("redis.password = ['{own}']"),
        format!("redis.password = 'x\\n{own}'\nredis.prt = 1"),
    ]
}

/// Broken files in which the secrets stand where the mistakes are.
fn break_everything(world: &World, planted: &mut Planted, site: &str, secrets: &str) {
    let own = planted.plant("a broken line");
    let path = world.path("etc/mattervisor/secrets.toml");
    let private = |text: &str, path: &Path| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let file = world.path("etc/mattervisor/mattervisor.toml");
    for (number, line) in mistakes(&own).iter().enumerate() {
        let (own_file, kept) = if number % 2 == 0 {
            (&file, site)
        } else {
            (&path, secrets)
        };
        private(&format!("{line}\n{kept}"), own_file);
        let more: &[&[&str]] = if number % 5 == 0 {
            &[
                &["check-config"],
                &["diff-config"],
                &["reconfigure", "--dry-run"],
                &["env", "mattermost"],
            ]
        } else {
            &[]
        };
        for words in [&["reconfigure"][..]].iter().chain(more) {
            let what = format!("ctl {} with {line}", words.join(" "));
            planted.told(&what, &world.ctl(words));
        }
        private(kept, own_file);
    }
    // Readable by others, and asked for by SIGHUP.
    private(
        &format!("mattermost.gitlab_secret = '{own}'\n{site}"),
        &file,
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    planted.told(
        "reconfigure of a readable file",
        &world.ctl(&["reconfigure"]).expect_code(1),
    );
    world.signal(Signal::SIGHUP);
    eventually("SIGHUP is refused", || {
        let warnings = world.status().supervisor.warnings;
        warnings
            .iter()
            .any(|it| it.contains("refused"))
            .then_some(())
    });
    private(site, &file);
}

/// Redis with its password in a file, where it is installed.
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
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90",
    ]);
    openssl.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]);
    openssl.arg("-keyout").arg(directory.join("localhost.key"));
    openssl.arg("-out").arg(directory.join("localhost.crt"));
    run(&mut openssl).ok();
    let key = fs::read_to_string(directory.join("localhost.key")).unwrap();
    key.lines().nth(5).unwrap().to_owned()
}

/// The real stack over TLS, with a secret in every place, through start, crash, mistakes, a change
/// and an end.
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
    let key = certificate(&stack.world.path("etc/mattervisor/ssl"));
    planted.secrets.push(("the TLS key", key));
    let file = stack.world.path("etc/mattervisor/mattervisor.toml");
    // Nobody answers there, so that the delivery has something to complain of.
    let nobody = free_port();
    let redis = redis();
    let site = format!(
        "{}{redis}mattermost.gitlab_secret = \"{}\"\n[notify.chat]\nwebhook = \"http://127.0.0.1:{nobody}/hooks/{}\"\non = [\"failed\", \"restarted\", \"recovered\"]\n",
        fs::read_to_string(&file).unwrap(),
        planted.plant("the site file"),
        planted.plant("the webhook"),
    );
    let socket = stack.world.file("run/mattervisor/postgresql");
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
        (file, &site),
        (stack.world.path("etc/mattervisor/secrets.toml"), &secrets),
        (
            stack.world.path("etc/bot.env"),
            &format!("BOT_PASSWORD={}\n", planted.plant("an env file")),
        ),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    bot(&stack.world);
    stack.start();
    let world = &stack.world;
    world.wait_state("bot", "running");
    let pid = world.status().pid("mattermost");
    kill(pid, Signal::SIGKILL);
    world.wait_reborn("mattermost", pid);
    eventually("a delivery has failed", || {
        world.supervisor_log().contains("chat").then_some(())
    });
    ask_everything(world, &mut planted);
    search_processes(world, &mut planted);
    break_everything(world, &mut planted, &site, &secrets);
    change(world, &mut planted, &secrets);
    ask_everything(world, &mut planted);
    search_processes(world, &mut planted);
    search_files(world, &mut planted, true);
    let keeper_log = fs::read(world.path("supervisor.log")).unwrap();
    planted.note("the supervisor's log", keeper_log);
    // On a busy machine the database takes its time for the last checkpoint.
    stack.world.signal(Signal::SIGTERM);
    assert_eq!(stack.world.wait_end(STOP), 0);
    search_files(&stack.world, &mut planted, false);
    planted.search();
}

/// A service whose secret is a setting, is in a rendered file, and is in a file of variables.
fn bot(world: &World) {
    let command = mattervisor_tests::child_command(world.root(), &["sleep"]);
    let (conf, env) = (world.file("var/bot.conf"), world.file("etc/bot.env"));
    world.service(
        "bot",
        &format!(
            "{command}env_files = ['{env}']\n[settings]\ntoken = {{ type = 'string', secret = true, env = 'BOT_TOKEN' }}\n\
             [[files]]\npath = '{conf}'\ncontent = 'token = {{{{ token }}}}'\n\
             validate = ['/bin/grep', '-q', 'token', '{{{{ candidate }}}}']\n"
        ),
    );
}

/// A secret is changed: what is shown says so and shows none.
fn change(world: &World, planted: &mut Planted, secrets: &str) {
    let before = planted
        .secrets
        .iter()
        .find(|it| it.0 == "a service's own setting");
    let before = before.unwrap().1.clone();
    let after = planted.plant("a changed setting");
    let path = world.path("etc/mattervisor/secrets.toml");
    fs::write(&path, secrets.replace(&before, &after)).unwrap();
    let pid = world.status().pid("bot");
    for words in [
        &["diff-config"][..],
        &["reconfigure", "--dry-run"],
        &["reconfigure"],
    ] {
        let told = world.ctl(words);
        assert!(
            told.both().contains("BOT_TOKEN"),
            "{words:?}: {}",
            told.both()
        );
        planted.told(&format!("ctl {}", words.join(" ")), &told);
    }
    world.wait_reborn("bot", pid);
}

/// The search finds what it is to find.
#[test]
fn a_secret_is_found_in_every_disguise() {
    let mut planted = Planted::default();
    let secret = planted.plant("a test");
    let percent = secret.replace('+', "%2B").replace('/', "%2F");
    let found = |text: &str| disguises(&secret).iter().any(|it| text.contains(it));
    assert!(found(&format!("x={secret}!")));
    assert!(found(&percent) && found(&percent.to_lowercase()));
    for before in ["", "a", "ab", "user:"] {
        assert!(
            found(&base64(format!("{before}{secret} and more").as_bytes())),
            "{before}"
        );
    }
    assert!(!found("pl4nt3d"));
}

/// A generated secret is made once: a second start, reconfigures and checks at the same time keep
/// it, and what the administrator wrote beside it.
#[test]
fn a_generated_secret_is_made_once_and_kept() {
    let mut world = World::new();
    let keys =
        "[settings]\nkey = { type = 'string', secret = true, generate = 'hex:16', env = 'KEY' }\n";
    for name in ["a", "b"] {
        world.child(name, &["env", "sleep"], keys);
    }
    let path = world.path("etc/mattervisor/secrets.toml");
    fs::write(
        &path,
        "# mine\na.key = \"0123456789abcdef0123456789abcdef\"\n",
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    world.ctl(&["check-config"]).ok();
    assert_eq!(
        fs::read_to_string(&path).unwrap().lines().count(),
        2,
        "a check makes nothing"
    );
    world.start_ready();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("# mine\n")
            && text.contains("a.key = \"0123456789abcdef0123456789abcdef\""),
        "{text}"
    );
    assert_eq!(text.matches("key = ").count(), 2, "{text}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    // Many at once, with one more to be made.
    world.child("c", &["env", "sleep"], keys);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let world = &world;
            scope.spawn(move || match number % 3 {
                // One is refused while another is under way.
                0 => drop(world.ctl(&["reconfigure"])),
                1 => drop(world.ctl(&["check-config"])),
                _ => drop(world.get("/v1/check")),
            });
        }
    });
    world.wait_state("c", "running");
    let made = fs::read_to_string(&path).unwrap();
    assert_eq!(made.matches("c.key = ").count(), 1, "{made}");
    for line in text.lines() {
        assert!(made.contains(line), "{line} is gone: {made}");
    }
    let pids = |world: &World| ["a", "b", "c"].map(|name| world.status().pid(name));
    let before = pids(&world);
    world.ctl(&["reconfigure"]).ok();
    assert_eq!(pids(&world), before);
    assert_eq!(world.stop(), 0);
    world.start_ready();
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    let values: BTreeMap<String, String> = ["a", "b", "c"]
        .map(|name| {
            (
                name.to_owned(),
                world.wait_log(name, |line| line.starts_with("KEY=")),
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
