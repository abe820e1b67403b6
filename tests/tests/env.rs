//! Environments: a process has the variables of the files, `check-config` tells beforehand which of
//! them its program ignores or misreads, and `ctl env` explains both.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use mattervisor_tests::{Site, StatusExt, need, nginx, postgres, run, skip};
use serde_json::Value;

use crate::stack::Stack;

/// The environment of a running process.
fn environ(pid: i32) -> BTreeMap<String, String> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines = text.split_terminator('\0');
    lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The configuration that the server uses, by its local-mode socket.
fn live_config(site: &Site) -> Value {
    let socket = site.path("run/mattervisor/mattermost/local.socket");
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .write_all(b"GET /api/v4/config HTTP/1.0\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn env_json(site: &Site, more: &[&str]) -> Value {
    let mut words = vec!["env", "mattermost", "--format", "json"];
    words.extend(more);
    serde_json::from_str(&site.ctl(&words).ok().stdout).unwrap()
}

fn variable(all: &Value, name: &str) -> Value {
    let list = all["variables"].as_array().unwrap();
    let found = list.iter().find(|it| it["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {all}"))
        .clone()
}

/// The proxy example of GitLab's documentation: the server has exactly these variables. Their
/// settings win over config.json; once a variable is removed, config.json counts again.
#[test]
fn the_environment_map_reaches_the_server_and_wins_over_config_json() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(
        bin,
        "STANDIN_STOP_MS = \"100\", HTTP_PROXY = \"my_proxy\", HTTPS_PROXY = \"my_proxy\", \
         NO_PROXY = \"my_no_proxy\", MM_TEAMSETTINGS_MAXUSERSPERTEAM = 500, LINES = \"a\\n b=c\\n\"",
    );
    stack.start();
    let site = &stack.site;
    let before = site.status();
    let has = environ(before.pid("mattermost"));
    assert_eq!(has["HTTP_PROXY"], "my_proxy");
    assert_eq!(has["HTTPS_PROXY"], "my_proxy");
    assert_eq!(has["NO_PROXY"], "my_no_proxy");
    assert_eq!(has["LINES"], "a\n b=c\n");
    let max_users = |config: &Value| config["TeamSettings"]["MaxUsersPerTeam"].as_i64();
    assert_eq!(max_users(&live_config(site)), Some(500));

    // config.json keeps its own value; `--against-config` shows both.
    let file = site.path("var/lib/mattervisor/mattermost/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_ne!(max_users(&config), Some(500), "a variable was written back");
    config["TeamSettings"]["MaxUsersPerTeam"] = 77.into();
    std::fs::write(&file, config.to_string()).unwrap();
    site.ctl(&["restart", "mattermost"]).ok();
    assert_eq!(max_users(&live_config(site)), Some(500));
    let compared = env_json(site, &["--against-config"]);
    let keys = compared["keys"].as_array().unwrap();
    let key = |name: &str| keys.iter().find(|it| it["key"] == name).unwrap();
    let key_max = key("TeamSettings.MaxUsersPerTeam");
    assert_eq!(
        (
            &key_max["environment"],
            &key_max["config"],
            &key_max["same"]
        ),
        (&"500".into(), &"77".into(), &false.into())
    );
    let at_rest = key("SqlSettings.AtRestEncryptKey");
    assert_eq!(
        (&at_rest["environment"], &at_rest["config"]),
        (&Value::Null, &Value::Null)
    );
    let told = site
        .ctl(&["env", "mattermost", "--against-config"])
        .ok()
        .stdout;
    assert!(told.contains("System Console"), "{told}");

    shown_without_secrets(site);
    removed(site, &before);
}

/// `ctl env` shows the variables of the running process with their sources, and secrets only with
/// `--reveal`.
fn shown_without_secrets(site: &Site) {
    let secret =
        environ(site.status().pid("mattermost"))["MM_SQLSETTINGS_ATRESTENCRYPTKEY"].clone();
    let all = env_json(site, &[]);
    assert_eq!(all["from"], "supervisor");
    assert_eq!(
        all["findings"],
        Value::Array(vec![]),
        "the catalogue itself has findings"
    );
    assert_eq!(variable(&all, "HTTP_PROXY")["source"], "env map");
    assert_eq!(variable(&all, "MM_CONFIG")["source"], "computed");
    let listens = variable(&all, "MM_SERVICESETTINGS_LISTENADDRESS");
    assert_eq!(listens["source"], "computed");
    let key = variable(&all, "MM_SQLSETTINGS_ATRESTENCRYPTKEY");
    assert_eq!(
        (&key["value"], &key["secret"]),
        (&Value::Null, &true.into())
    );
    assert_eq!(key["setting"], "mattermost.sql_at_rest_encrypt_key");
    assert_eq!(key["source"], "secret");
    let told = site.ctl(&["env", "mattermost"]).ok().both();
    assert!(!told.contains(&secret) && !all.to_string().contains(&secret));
    assert!(!site.get("/v1/plan").body.contains(&secret));
    assert!(told.contains("(secret)"), "{told}");
    let revealed = env_json(site, &["--reveal"]);
    assert_eq!(
        variable(&revealed, "MM_SQLSETTINGS_ATRESTENCRYPTKEY")["value"],
        secret.as_str()
    );
    assert_eq!(revealed["differs"], Value::Array(vec![]));
}

/// A key that is removed removes the variable; only its service restarts.
fn removed(site: &Site, before: &mattervisor_tests::StatusReply) {
    let site_file = site.path("etc/mattervisor/mattervisor.toml");
    let site_file = std::fs::read_to_string(site_file).unwrap();
    let less = site_file.replace(", MM_TEAMSETTINGS_MAXUSERSPERTEAM = 500", "");
    let less = less.replace("HTTPS_PROXY = \"my_proxy\", ", "");
    assert_ne!(site_file, less);
    site.site_file(&less);
    let told = site.ctl(&["env", "mattermost"]).ok().stdout;
    assert!(told.contains("The files differ from what runs"), "{told}");
    assert!(told.contains("HTTPS_PROXY"), "{told}");
    site.ctl(&["reconfigure"]).ok();
    let after = site.wait_for("mattermost is ready again", |status| {
        status.ready("mattermost")
    });
    let has = environ(after.pid("mattermost"));
    assert!(!has.contains_key("HTTPS_PROXY") && has.contains_key("HTTP_PROXY"));
    assert!(!has.contains_key("MM_TEAMSETTINGS_MAXUSERSPERTEAM"));
    assert_eq!(live_config(site)["TeamSettings"]["MaxUsersPerTeam"], 77);
    for other in ["postgresql", "nginx"] {
        assert_eq!(after.pid(other), before.pid(other), "{other}");
    }
}

/// A site with the shipped catalogue, and a site file of the URL and these lines.
fn shipped(lines: &str) -> Site {
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    site.site_file(&format!(
        "mattermost_external_url = 'http://chat.example.com'\n{lines}\n"
    ));
    site
}

/// Wrong names that stand in documentation, GitLab's own included, are reported with the right
/// name.
#[test]
fn names_that_mattermost_ignores_are_told_with_the_right_ones() {
    let names = [
        (
            "SERVICESETTINGS_ALLOWUNTRUSTEDINTERNALCONNECTIONS",
            "SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS",
        ),
        (
            "SUPPORTSETTINGS_FORGETPASSWORDLINK",
            "SUPPORTSETTINGS_FORGOTPASSWORDLINK",
        ),
        (
            "SQLSETTINGS_MINIMUMHASHTAGLENGTH",
            "SERVICESETTINGS_MINIMUMHASHTAGLENGTH",
        ),
        (
            "EMAILSETTINGS_MAXNOTIFICATIONSPERCHANNEL",
            "TEAMSETTINGS_MAXNOTIFICATIONSPERCHANNEL",
        ),
        (
            "EMAILSETTINGS_BATCHINGINTERVAL",
            "EMAILSETTINGS_EMAILBATCHINGINTERVAL",
        ),
        (
            "EMAILSETTINGS_NOTIFICATIONCONTENTTYPE",
            "EMAILSETTINGS_EMAILNOTIFICATIONCONTENTSTYPE",
        ),
        ("SERVICESETTINGS_SITEURI", "SERVICESETTINGS_SITEURL"),
        ("SQLSETTINGS_ALLOWCORSFROM", "SERVICESETTINGS_ALLOWCORSFROM"),
        ("WEBRTCSETTINGS_STUN_URI", "WEBRTCSETTINGS_STUNURI"),
    ];
    let lines = names.map(|(wrong, _)| format!("mattermost.env.MM_{wrong} = 'https://x'"));
    let site = shipped(&lines.join("\n"));
    let checked = site.ctl(&["check-config"]).ok().stdout;
    // `ctl env` shows the same notes beside the variables.
    let shown = site.ctl(&["env", "mattermost"]).ok().stdout;
    for (index, (wrong, right)) in names.iter().enumerate() {
        let line = index + 2;
        let place = format!("mattervisor.toml:{line}: warning: mattermost.env.MM_{wrong}: ");
        for told in [&checked, &shown] {
            let about = told.split_once(&place);
            let (_, about) = about.unwrap_or_else(|| panic!("no {place} in {told}"));
            let about: String = about.lines().take(2).collect();
            assert!(about.contains(&format!("MM_{right}")), "{about}");
        }
    }
    let known = "MM_INSTALL_TYPE = \"x\", MM_LICENSE = \"x\", MM_FEATUREFLAGS_ANY = \"x\", \
        mm_ldapsettings_enable = true, MMCTL_X = 1, GODEBUG = \"x\", MM_TEAMSETTINGS_SITENAME = \"x\"";
    let site = shipped(&format!("mattermost.env = {{ {known} }}"));
    let told = site.ctl(&["check-config"]).ok().stdout;
    assert!(!told.contains("mattermost.env."), "{told}");
}

/// The installed version decides which variables are dropped and which do not exist yet.
#[test]
fn variables_are_held_to_the_installed_version() {
    let told = |version: &str, name: &str| {
        let site = shipped(&format!(
            "mattermost.version = '{version}'\nmattermost.env.{name} = 'true'"
        ));
        let told = site.ctl(&["check-config"]).ok().stdout;
        let line = told.lines().find(|line| line.contains(name));
        line.map(|line| line.split_once("toml:3: ").unwrap().1.to_owned())
    };
    let webrtc = told("11.6.0", "MM_WEBRTCSETTINGS_ENABLE").unwrap();
    assert_eq!(
        webrtc,
        "warning: mattermost.env.MM_WEBRTCSETTINGS_ENABLE: has no effect: 11.6.0 has dropped it (5.5 still had it, 5.6 has not)"
    );
    assert_eq!(told("5.4.0", "MM_WEBRTCSETTINGS_ENABLE"), None);
    let new = "MM_SERVICESETTINGS_ENABLEDYNAMICCLIENTREGISTRATION";
    assert!(told("7.6.0", new).unwrap().starts_with("warning: "));
    assert!(told("11.0.0", new).unwrap().starts_with("note: "));
    assert_eq!(told("11.6.0", new), None);
}

/// Values that the server would ignore are warnings; values that would keep it from starting are
/// errors.
#[test]
fn values_are_found_wrong_before_the_server_is() {
    let site = shipped(
        "mattermost.env = { MM_LDAPSETTINGS_ENABLE = \"yes\", MM_SQLSETTINGS_MAXIDLECONNS = \"abc\", \
         MM_PLUGINSETTINGS_PLUGINSTATES = \"x\", MM_SERVICESETTINGS_TRUSTEDPROXYIPHEADER = \"\" }",
    );
    let told = site.ctl(&["check-config"]).ok().stdout;
    for said in [
        "MM_LDAPSETTINGS_ENABLE: \"yes\" is neither true nor false",
        "MM_SQLSETTINGS_MAXIDLECONNS: \"abc\" is not a whole number",
        "MM_PLUGINSETTINGS_PLUGINSTATES: \"x\" is not a JSON object",
        "MM_SERVICESETTINGS_TRUSTEDPROXYIPHEADER: an empty value is a list with one empty element",
    ] {
        assert!(told.contains(said), "no {said} in {told}");
    }
    for (deadly, why) in [
        ("MM_SQLSETTINGS_DATASOURCEREPLICAS = ''", "hangs"),
        ("MM_SQLSETTINGS_REPLICALAGSETTINGS = 'x'", "panics"),
        (
            "MM_LOGSETTINGS_ADVANCEDLOGGINGJSON = \"{\"",
            "refuses to start",
        ),
        ("A_NUL = \"a\\u0000b\"", "NUL"),
    ] {
        let site = shipped(&format!("mattermost.env.{deadly}"));
        let told = site.ctl(&["check-config"]).expect_code(1).stdout;
        assert!(
            told.contains("mattervisor.toml:2: error: ") && told.contains(why),
            "{told}"
        );
        site.ctl(&["env", "mattermost"]).expect_code(1);
    }
}

/// `ctl env` works for any service, running or not, and says which of the two it shows.
#[test]
fn any_service_has_an_environment_that_can_be_asked_for() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "[env]\nX = '1'");
    site.child("off", &["sleep"], "enable = false");
    let told = site.ctl(&["env", "a"]).ok().stdout;
    assert!(told.contains("no supervisor answers"), "{told}");
    site.start_ready();
    let told = site.ctl(&["env", "a"]).ok().stdout;
    assert!(told.contains("This is what runs"), "{told}");
    site.child("a", &["sleep"], "[env]\nX = '2'");
    let told = site.ctl(&["env", "a"]).ok().stdout;
    assert!(
        told.contains("The files differ from what runs: X changed."),
        "{told}"
    );
    let exported = site.ctl(&["env", "a", "--export"]).ok().stdout;
    assert!(exported.contains("export X='1'\n"), "{exported}");
    let exported = site.ctl(&["env", "a", "--export", "--reveal"]).ok().stdout;
    assert!(exported.contains("export X='2'\n"), "{exported}");
    site.site_file("nosuch.key = 1\n");
    let told = site.ctl(&["env", "a"]).ok().stdout;
    assert!(told.contains("The files do not check"), "{told}");
    site.ctl(&["env", "a", "--reveal"]).expect_code(1);
    let told = site.ctl(&["env", "aa"]).expect_code(4).stderr;
    assert!(told.contains("did you mean 'a'?"), "{told}");
    let told = site.ctl(&["env", "off"]).expect_code(1).stderr;
    assert!(
        told.contains("disabled") && told.contains("hint: "),
        "{told}"
    );
    site.ctl(&["env", "a", "--against-config"]).expect_code(2);
    site.ctl(&["env"]).expect_code(2);
}

/// `--reveal` exits with 6 for a user who may not read the secrets.
#[test]
fn reveal_without_the_right_to_read_is_six() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let site = Site::new();
    site.child("a", &["sleep"], "");
    let secrets = site.path("etc/mattervisor/secrets.toml");
    std::fs::write(&secrets, "a.env = { PASSWORD = 'hunter2' }\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secrets, mode).unwrap();
    let copy = site.path("ctl");
    mattervisor_tests::install(&mattervisor_tests::binary("ctl"), &copy);
    let mut ctl = std::process::Command::new("setpriv");
    ctl.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    ctl.arg(copy).arg("--root").arg(site.root());
    ctl.args(["env", "a", "--reveal"]);
    let told = run(&mut ctl).expect_code(6);
    assert!(
        told.stderr.contains("secrets.toml: permission denied"),
        "{told:#?}"
    );
    assert!(!told.both().contains("hunter2"));
}
