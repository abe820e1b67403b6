//! `[variables]`: names and values that a program does not understand.

use insta::assert_snapshot;

use super::Machine;
use crate::{Host, Options, RealHost, load_with_origins};

const TABLE: &str = "\
# comment
MM_CONFIG	any
MM_LOG_FORMAT	string		4.0..4.10		MM_LOG_JSON
MM_LOG_JSON	bool	4.0..4.10
MM_PLUGINS_ALL	json	7.5
MM_SERVICE_COUNT	int
MM_SERVICE_NEW	bool	7.6..11.6
MM_SERVICE_OLD	bool		9.0..9.11		the new way is always on
MM_SERVICE_SITEURL	string
MM_SQL_LAG	structs			always: panics	set it in the file
MM_SQL_REPLICAS	list			empty: hangs at start
MM_SERVICE_ADRESS	never				MM_SERVICE_SITEURL
MM_RTC_STUN_URI	never				MM_RTC_STUNURI
MM_RTC_STUNURI	string		5.5..5.6
";

const CHAT: &str = r#"
command = ["/bin/chat"]
[settings]
version = { default = "11.6.0" }
old = { type = "bool", env = "MM_SERVICE_OLD" }
kept = { type = "bool", env = "MM_LOG_FORMAT", default = true }
count = { env = "MM_SERVICE_COUNT" }
key = { env = "MM_LOG_JSON", secret = true }
[env]
MM_RTC_STUNURI = "for old versions"
MM_CONFIG = "/x"
[variables]
prefix = "MM"
table = "chat/variables.tsv"
version = "{{ version }}"
ignore = ["MM_FLAGS_*", "MM_OWN"]
"#;

fn machine(site: &str) -> Machine {
    let mut machine = Machine::new();
    machine.shipped("chat", CHAT).site(site);
    machine.put("/cat/services.d/chat/variables.tsv", TABLE);
    machine
}

fn said(env: &str) -> String {
    machine(&format!("chat.env = {{ {env} }}\n")).remarks()
}

#[test]
fn what_is_right_is_not_spoken_of() {
    let env = "MM_SERVICE_SITEURL = \"\", MM_SERVICE_COUNT = 5, MM_LOG_JSON = true, HTTP_PROXY = \"p\", \
        MM_FLAGS_ANY = \"yes\", mm_own = 1, MMAP_LIMIT = 1, MM_SERVICE_NEW = true, mm_config = \"y\"";
    // The list has one duplicate: a variable in two spellings.
    assert_snapshot!(said(env), @r"
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.mm_config: MM_CONFIG is the same variable to the program, which takes one of the two
      hint: remove one of them
    ");
}

#[test]
fn unknown_names_come_with_the_one_that_is_meant() {
    let env = "MM_SERVICE_SITEURI = \"\", MM_SQL_SITEURL = \"\", MMSERVICE_SITEURL = \"\", MM_NOTHING_LIKE_IT = 1, \
        MM_SERVICE_SITEURL_X = \"\", MM_SERVICE_ADRESS = \"\", MM_RTC_STUN_URI = \"\"";
    assert_snapshot!(said(env), @r"
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MM_SERVICE_SITEURI: is not known in any version, and has no effect
      hint: did you mean MM_SERVICE_SITEURL?
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MM_SQL_SITEURL: is not known in any version, and has no effect
      hint: did you mean MM_SERVICE_SITEURL?
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MMSERVICE_SITEURL: is not known in any version, and has no effect
      hint: did you mean MM_SERVICE_SITEURL?
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MM_NOTHING_LIKE_IT: is not known in any version, and has no effect
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MM_SERVICE_SITEURL_X: counts as MM_SERVICE_SITEURL: what follows that name is not looked at
      hint: write MM_SERVICE_SITEURL
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MM_SERVICE_ADRESS: never was a variable of any version, and has no effect
      hint: write MM_SERVICE_SITEURL
    /etc/mattervisor/mattervisor.toml:1: warning: chat.env.MM_RTC_STUN_URI: never was a variable of any version, and has no effect; MM_RTC_STUNURI, which is meant, was dropped after 5.5
      hint: remove it
    ");
}

#[test]
fn a_version_drops_some_and_others_come_later() {
    let site = "chat.version = \"9.11.2\"\nchat.old = true\nchat.env = { MM_LOG_FORMAT = \"\", MM_SERVICE_NEW = true, MM_RTC_STUNURI = \"\" }\n";
    assert_snapshot!(machine(site).remarks(), @r"
    /etc/mattervisor/mattervisor.toml:2: warning: chat.old: MM_SERVICE_OLD: has no effect: 9.11.2 has dropped it (9.0 still had it, 9.11 has not)
      hint: the new way is always on
    /etc/mattervisor/mattervisor.toml:3: warning: chat.env.MM_LOG_FORMAT: has no effect: 9.11.2 has dropped it (4.0 still had it, 4.10 has not)
      hint: write MM_LOG_JSON
    /etc/mattervisor/mattervisor.toml:3: note: chat.env.MM_SERVICE_NEW: may have no effect in 9.11.2: 7.6 did not have it yet, 11.6 has
    /etc/mattervisor/mattervisor.toml:3: warning: chat.env.MM_RTC_STUNURI: has no effect: 9.11.2 has dropped it (5.5 still had it, 5.6 has not)
      hint: remove it
    ");
    let site = "chat.version = \"7.4.0\"\nchat.env = { MM_SERVICE_NEW = true, MM_PLUGINS_ALL = \"{}\", MM_SERVICE_OLD = true }\n";
    assert_snapshot!(machine(site).remarks(), @r"
    /etc/mattervisor/mattervisor.toml:2: warning: chat.env.MM_SERVICE_NEW: has no effect: 7.4.0 does not have it yet, 11.6 is the first that is known to
    /etc/mattervisor/mattervisor.toml:2: warning: chat.env.MM_PLUGINS_ALL: has no effect: 7.4.0 does not have it yet, 7.5 is the first that is known to
    ");
}

#[test]
fn without_a_known_version_any_will_do() {
    let mut machine = machine("chat.env = { MM_LOG_FORMAT = \"\", MM_SERVICE_NEW = true }\n");
    machine.shipped(
        "chat",
        &CHAT.replace("version = { default = \"11.6.0\" }", "version = {}"),
    );
    assert_snapshot!(machine.remarks(), @r"
    /etc/mattervisor/mattervisor.toml:1: note: chat.env.MM_LOG_FORMAT: newer versions have dropped it: 4.0 still had it, 4.10 has not
      hint: write MM_LOG_JSON
    ");
}

#[test]
fn values_are_held_to_their_types_where_they_were_written() {
    let site = "chat.count = \"ten\"\nchat.key = \"hunter2\"\n\n[chat.env]\nMM_SERVICE_NEW = \"yes\"\nMM_PLUGINS_ALL = \"a\"\n";
    let said = machine(site).remarks();
    assert!(!said.contains("hunter2"));
    assert_snapshot!(said, @r#"
    /etc/mattervisor/mattervisor.toml:1: warning: chat.count: MM_SERVICE_COUNT: "ten" is not a whole number, so it is ignored and the default stays
      hint: write digits only
    /etc/mattervisor/mattervisor.toml:2: warning: chat.key: MM_LOG_JSON: the value is neither true nor false to the program, so it is ignored and the default stays
      hint: write true or false
    /etc/mattervisor/mattervisor.toml:5: warning: chat.env.MM_SERVICE_NEW: "yes" is neither true nor false to the program, so it is ignored and the default stays
      hint: write true
    /etc/mattervisor/mattervisor.toml:6: warning: chat.env.MM_PLUGINS_ALL: "a" is not a JSON object, so it is ignored
      hint: write it as {"key": …}
    "#);
}

#[test]
fn what_the_program_dies_of_is_an_error() {
    let mut machine = machine("chat.env = { MM_SQL_REPLICAS = \"\", MM_SQL_LAG = \"x\" }\n");
    assert_snapshot!(machine.errors(), @r"
    /etc/mattervisor/mattervisor.toml:1: error: chat.env.MM_SQL_REPLICAS: an empty value is a list with one empty element, not an empty list, and the program hangs at start
      hint: remove the variable: without it the list is empty
    /etc/mattervisor/mattervisor.toml:1: error: chat.env.MM_SQL_LAG: the program panics when this is set, whatever the value
      hint: set it in the file
    ");
    // The service file decides, so the administrator can overrule it.
    machine.own("chat", "variables = false\n");
    assert_eq!(machine.remarks(), "");
}

#[test]
fn environment_files_have_places_too() {
    let mut machine = machine("");
    machine.put(
        "/etc/default/chat",
        "# x\nMM_SERVICE_COUNT=1\n\nMM_SERVICE_NWE=1\n",
    );
    machine.own("chat", "env_files = [\"/etc/default/chat\"]\n");
    assert_snapshot!(machine.remarks(), @r"
    /etc/default/chat:4: warning: MM_SERVICE_NWE: is not known in any version, and has no effect
      hint: did you mean MM_SERVICE_NEW?
    ");
}

#[test]
fn the_table_itself_is_checked() {
    let mut machine = machine("");
    machine.shipped("a", "command = [\"/a\"]\n[variables]\nprefx = \"A\"\n");
    machine.shipped(
        "b",
        "command = [\"/b\"]\n[variables]\nprefix = \"B\"\ntable = \"b/none.tsv\"\nversion = 5\n",
    );
    // Nobody looks for the table of a disabled service.
    machine.shipped("c", "command = [\"/c\"]\nenable = false\n[variables]\nprefix = \"C\"\ntable = \"none\"\nversion = \"{{ nosuch }}\"\n");
    assert_snapshot!(machine.errors(), @r"
    /cat/services.d/a.toml:2: error: variables.prefix: is missing
    /cat/services.d/a.toml:2: error: variables.table: is missing
    /cat/services.d/a.toml:3: error: variables.prefx: unknown key
      hint: did you mean `prefix`?
    /cat/services.d/b.toml:4: error: variables.table: there is no file `b/none.tsv`
      hint: looked in /etc/mattervisor/services.d and /cat/services.d
    /cat/services.d/b.toml:5: error: variables.version: must be a string, not a number
    /cat/services.d/c.toml:6: error: variables.version: there is no `nosuch`
    ");
}

#[test]
fn a_problem_says_which_variable_it_is_about_and_origins_where_all_were_written() {
    let machine = machine("chat.count = \"7\"\nchat.env = { MM_NONE = 1 }\n");
    let options = Options {
        root: "/".into(),
        catalog: Some("/cat/services.d".into()),
    };
    let (plan, origins) = load_with_origins(&machine, &options);
    let about = Some(("chat".to_owned(), "MM_NONE".to_owned()));
    assert!(
        plan.unwrap()
            .remarks
            .iter()
            .any(|problem| problem.variable == about)
    );
    let of = |name: &str| {
        let origin = &origins["chat"][name];
        let file = origin.file.file_name().unwrap().to_str().unwrap();
        format!(
            "{file}:{} {} {:?} {}",
            origin.line.unwrap(),
            origin.key,
            origin.setting,
            origin.given
        )
    };
    assert_eq!(
        of("MM_SERVICE_COUNT"),
        "mattervisor.toml:1 chat.count Some(\"chat.count\") true"
    );
    assert_eq!(
        of("MM_LOG_FORMAT"),
        "chat.toml:6 settings.kept Some(\"chat.kept\") false"
    );
    assert_eq!(of("MM_CONFIG"), "chat.toml:11 env.MM_CONFIG None false");
    assert_eq!(
        of("MM_NONE"),
        "mattervisor.toml:2 chat.env.MM_NONE None true"
    );
    assert!(!origins["chat"].contains_key("PATH"));
}

/// Every shipped table is well formed.
#[test]
fn the_tables_that_ship_are_well_formed() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services.d");
    let text = RealHost
        .read(&dir.join("mattermost/variables.tsv"))
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut before = "";
    let mut names = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            line.matches('\t').count() <= 5 && !line.ends_with('\t'),
            "{line}"
        );
        let mut columns = line.split('\t').chain(std::iter::repeat(""));
        let [name, kind, since, until, dies, note] =
            std::array::from_fn(|_| columns.next().unwrap_or_default());
        assert!(before < name, "{name} is not in order");
        before = name;
        names.insert(name);
        let kinds = [
            "string",
            "bool",
            "int",
            "list",
            "json",
            "json|path",
            "structs",
            "any",
            "never",
        ];
        let (kind, mark) = kind.split_once(' ').unwrap_or((kind, ""));
        assert!(kinds.contains(&kind), "{line}");
        assert!(["", "secret", "private"].contains(&mark), "{line}");
        // A value of such a type is hidden if the variable's name reveals a secret.
        let suspect = matches!(kind, "string" | "any") && crate::looks_secret(name, "/x");
        assert!(
            !suspect
                || mark == "secret"
                || ["CLIENTKEY", "ENDPOINT", "LINK"]
                    .iter()
                    .any(|end| name.ends_with(end)),
            "{line}"
        );
        for bounds in [since, until]
            .into_iter()
            .filter(|bounds| !bounds.is_empty())
        {
            let parts: Vec<&str> = bounds.split("..").collect();
            assert!(
                parts.len() <= 2 && parts.iter().all(|part| part.contains('.')),
                "{line}"
            );
        }
        assert!(
            dies.is_empty() || crate::service::env::lint::check::is_death(dies),
            "{line}"
        );
        assert!(kind != "never" || note.starts_with("MM_"), "{line}");
    }
    assert!(names.len() > 700);
    for line in text.lines().filter(|line| line.contains("\tnever\t")) {
        let right = line.rsplit('\t').next().unwrap();
        assert!(names.contains(right), "{line}");
    }
}
