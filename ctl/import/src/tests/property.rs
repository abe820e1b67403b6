//! For any gitlab.rb in the forms that people use, each variable of Mattermost is the same as in
//! GitLab's package, or the report names the variable; and an unknown database never becomes an
//! empty one.

use proptest::prelude::*;

use super::{
    Machine,
    environment::{imported_with, told},
    omnibus::{Ruby, Setting, Site, Tape, written},
};
use crate::{Import, report::Disposition};

fn text(text: &str) -> Ruby {
    Ruby::Text(text.to_owned())
}

/// A section, a key, and values that the setting may have.
type Row = (&'static str, &'static str, Vec<Ruby>);

fn texts(all: &[&str]) -> Vec<Ruby> {
    all.iter().map(|it| text(it)).collect()
}

/// Settings of GitLab and of the database.
fn gitlab_and_database() -> Vec<Row> {
    let switch = || vec![Ruby::Bool(false), Ruby::Bool(true)];
    let sources = [
        "postgres://mm:p'w@db.example.com:5432/mm?sslmode=require",
        "user=mm password=pw host=db.example.com dbname=mm",
        "user=own host=/var/opt/gitlab/postgresql port=5432 dbname=own_db",
    ];
    let urls = ["https://gitlab.example.com", "http://git.example.com/"];
    let socket = "unix_socket_directory";
    vec![
        ("", "external_url", texts(&urls)),
        ("gitlab_rails", "enable", switch()),
        ("postgresql", "enable", switch()),
        ("postgresql", "dir", texts(&["/srv/pg"])),
        ("postgresql", socket, texts(&["/run/gitlab-pg"])),
        ("postgresql", "port", vec![Ruby::Int(5433), text("5434")]),
        ("postgresql", "sql_mattermost_user", texts(&["chat_role"])),
        ("mattermost", "database_name", texts(&["chat_db"])),
        ("mattermost", "sql_data_source", texts(&sources)),
    ]
}

/// Mattermost's own settings.
fn own() -> Vec<Row> {
    let switch = || vec![Ruby::Bool(true), Ruby::Bool(false), Ruby::Nil];
    let names = ["Chat", "a'b \"c\" #{d} \\ $e ü", ""];
    let places = ["/srv/files", "/var/opt/gitlab/mattermost/data"];
    let rows = [
        ("team_site_name", texts(&names)),
        ("service_address", texts(&["127.0.0.2"])),
        ("service_port", vec![Ruby::Int(8070), text("8071")]),
        ("service_site_url", texts(&["https://site.example.com"])),
        (
            "service_allowed_untrusted_internal_connections",
            texts(&["10.0.0.0/8 intern"]),
        ),
        ("service_enable_api_team_deletion", switch()),
        ("gitlab_enable", switch()),
        ("gitlab_id", texts(&["an id"])),
        ("gitlab_secret", texts(&["a 'secret'", "#12"])),
        ("gitlab_scope", texts(&["read_user", ""])),
        (
            "gitlab_auth_endpoint",
            texts(&["https://sso.example.com/a"]),
        ),
        (
            "sql_at_rest_encrypt_key",
            texts(&["at rest, in thirty-two characters"]),
        ),
        ("file_directory", texts(&places)),
    ];
    let rows = rows.into_iter();
    rows.map(|(key, values)| ("mattermost", key, values))
        .collect()
}

/// Variables of `mattermost['env']`.
fn variables() -> Vec<(&'static str, Vec<Ruby>)> {
    vec![
        (
            "HTTP_PROXY",
            vec![text("http://u:p@proxy:3128"), text(""), Ruby::Nil],
        ),
        ("NO_PROXY", vec![text("localhost,10.0.0.0/8")]),
        ("GODEBUG", vec![text("x=1"), text("")]),
        (
            "MM_TEAMSETTINGS_MAXUSERSPERTEAM",
            vec![Ruby::Int(70), text("80")],
        ),
        ("MM_TEAMSETTINGS_SITENAME", vec![text("By env"), text("")]),
        ("MM_EMAILSETTINGS_SMTPPASSWORD", vec![text("s3 \\ 'cret\"")]),
        (
            "MM_EMAILSETTINGS_ENABLESIGNUPWITHEMAIL",
            vec![Ruby::Bool(true), text("false")],
        ),
        (
            "MM_SERVICESETTINGS_ENABLELOCALMODE",
            vec![Ruby::Bool(false)],
        ),
        ("MM_LOGSETTINGS_ENABLEFILE", vec![Ruby::Bool(true)]),
    ]
}

fn site(tape: &mut Tape<'_>) -> Site {
    let mut site = Site::default();
    let one = |tape: &mut Tape<'_>, section, key, values: &[Ruby]| Setting {
        section,
        key,
        value: tape.one(values),
        hidden: tape.below(6) == 5,
    };
    let url = ["http://chat.example.com", "https://chat.example.com"].map(text);
    site.settings
        .push(one(tape, "", "mattermost_external_url", &url));
    for (section, key, values) in gitlab_and_database().into_iter().chain(own()) {
        if tape.below(3) == 2 {
            site.settings.push(one(tape, section, key, &values));
        }
    }
    for (name, values) in variables() {
        if tape.below(3) == 2 {
            site.env.push(one(tape, "", name, &values));
        }
    }
    for (key, value) in [
        (
            "sql_at_rest_encrypt_key",
            text("k3y-of-thirty-two-characters-000"),
        ),
        ("gitlab_enable", Ruby::Bool(true)),
        ("gitlab_id", text("id-1")),
        ("gitlab_secret", text("s-1")),
        ("gitlab_scope", text("")),
    ] {
        if tape.below(2) == 1 {
            site.secrets.insert(key, value);
        }
    }
    site.directory = tape.below(3) == 2;
    site
}

/// A machine with the files of a site.
fn machine(site: &Site, ruby: &str) -> Machine {
    let json = |value: &Ruby| match value {
        Ruby::Nil => serde_json::Value::Null,
        Ruby::Bool(it) => (*it).into(),
        Ruby::Int(it) => (*it).into(),
        Ruby::Text(it) => it.as_str().into(),
    };
    let block: serde_json::Map<_, _> = site
        .secrets
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json(value)))
        .collect();
    let machine = Machine::new(ruby).secrets(&serde_json::Value::from(block).to_string());
    if !site.directory {
        return machine;
    }
    let files = site.environment();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    machine.variables(&files)
}

/// Whether the report leaves a setting to a person.
fn left(import: &Import, what: &str) -> bool {
    let mut lines = import.report.lines.iter();
    lines.any(|it| it.what == what && matches!(it.fate, Disposition::Person(_)))
}

/// Name of a setting in the report.
fn what(setting: &Setting) -> String {
    match setting.section {
        "" => setting.key.to_owned(),
        section => format!("{section}['{}']", setting.key),
    }
}

/// Lines of the site file that a person has to add before Mattermost runs.
fn decisions(site: &Site) -> &'static str {
    let said = |key: &str| site.settings.iter().find(|it| it.key == key);
    let hidden = said("mattermost_external_url").is_some_and(|it| it.hidden);
    // The variable does not answer if `service_site_url` may have made it.
    let answered = site.directory && said("service_site_url").is_none();
    if hidden && !answered {
        "mattermost_external_url = \"http://decided.example.com\"\n"
    } else {
        ""
    }
}

/// Variables that the report names only by their setting.
const BY_SETTING: [(&str, &str); 1] = [(
    "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
    "mattermost['sql_at_rest_encrypt_key']",
)];

const DATABASE: &str = "MM_SQLSETTINGS_DATASOURCE";

/// The words of a data source without the socket, which is another one here.
fn without_socket(source: &str) -> Vec<&str> {
    let socket = |word: &&str| word.starts_with("host=") || word.starts_with("port=");
    source.split(' ').filter(|word| !socket(word)).collect()
}

/// One import, with its inputs.
struct Case {
    site: Site,
    machine: Machine,
    import: Import,
    /// Variables that the inputs leave open.
    open: Vec<String>,
    /// Inputs and site file, for failure messages.
    context: String,
}

impl Case {
    fn new(tape: &[u8]) -> Self {
        let mut tape = Tape(tape.iter());
        let site = site(&mut tape);
        let ruby = written(&site, &mut tape);
        let machine = machine(&site, &ruby);
        let import = machine.imported();
        let given = (&site.secrets, site.directory);
        let context = format!("{ruby}\n{given:?}\n{}", machine.site());
        let open = if site.directory {
            Vec::new()
        } else {
            site.open()
        };
        Self {
            site,
            machine,
            import,
            open,
            context,
        }
    }

    /// A value that only Ruby knows is left to a person, unless the directory has the variable.
    fn hidden_is_told(&self) -> Result<(), TestCaseError> {
        let hidden = self.site.settings.iter().filter(|it| it.hidden);
        for setting in hidden.filter(|_| !self.site.directory) {
            // Nothing of Mattermost's may follow from a setting of GitLab's own.
            let apart = ["gitlab_rails", "postgresql"].contains(&setting.section);
            // A part of the data source has no effect where gitlab.rb gives the whole.
            let part = setting.key == "database_name" && self.gives_source();
            let told = apart || part || left(&self.import, &what(setting));
            prop_assert!(told, "{}\n{}", what(setting), self.context);
        }
        Ok(())
    }

    /// Whether gitlab.rb has a data source whose value can be read.
    fn gives_source(&self) -> bool {
        let mut settings = self.site.settings.iter();
        settings.any(|it| it.key == "sql_data_source" && !it.hidden)
    }

    /// Whether the inputs tell which database Mattermost had, wherever the socket was.
    fn knows_database(&self) -> bool {
        let said = |key: &str| self.site.settings.iter().find(|it| it.key == key);
        let hidden = |key: &str| said(key).is_some_and(|it| it.hidden);
        let mut settings = self.site.settings.iter();
        let switch = settings.find(|it| (it.section, it.key) == ("postgresql", "enable"));
        let off = switch.is_some_and(|it| !it.hidden && it.value == Ruby::Bool(false));
        let Some(source) = said("sql_data_source") else {
            let parts = ["database_name", "sql_mattermost_user"];
            let open = switch.is_some_and(|it| it.hidden) || parts.into_iter().any(hidden);
            return !off && (self.site.directory || !open);
        };
        let open = source.hidden && !self.site.directory;
        let by_socket = matches!(&source.value, Ruby::Text(it) if it.contains("host=/"));
        let moved = ["unix_socket_directory", "dir"].into_iter().find_map(said);
        let of_gitlab = moved.map_or(off, |it| it.hidden);
        !(open || (by_socket && of_gitlab))
    }

    /// Checks that the site file is refused while the database is unknown; returns the lines that
    /// a person has to add.
    fn decided(&self) -> Result<String, TestCaseError> {
        let mut more = decisions(&self.site).to_owned();
        if !self.knows_database() {
            let refused = self.machine.load(&more).err().map(|it| it.to_string());
            let refused = refused.unwrap_or_default();
            let named = refused.contains("which database");
            prop_assert!(named, "{refused}\n{}", self.context);
            more.push_str("mattermost.sql_data_source = \"postgres://decided.example.com/x\"\n");
        }
        Ok(more)
    }

    /// Checks that each variable is what it was, or that the report names the variable.
    fn same(&self, more: &str) -> Result<(), TestCaseError> {
        let got = imported_with(&self.machine, more)
            .map_err(|problems| TestCaseError::fail(format!("{problems}\n{}", self.context)))?;
        let wanted = self.site.environment();
        for name in wanted.keys().chain(got.keys()) {
            let open = self.open.contains(name) || (name == DATABASE && !self.knows_database());
            if open || name == "PATH" {
                continue;
            }
            let (was, is) = (wanted.get(name), got.get(name));
            let by_setting = BY_SETTING
                .iter()
                .any(|it| it.0 == name && left(&self.import, it.1));
            let told = by_setting || told(&self.import, name);
            prop_assert!(
                was == is || told,
                "{name}: {was:?}, {is:?}\n{}",
                self.context
            );
        }
        if self.knows_database() && !self.open.iter().any(|it| it == DATABASE) {
            let (was, is) = (&wanted[DATABASE], &got[DATABASE]);
            let same = was == is || without_socket(was) == without_socket(is);
            prop_assert!(same, "{was}, {is}\n{}", self.context);
        }
        Ok(())
    }
}

fn hold(tape: &[u8]) -> Result<(), TestCaseError> {
    let case = Case::new(tape);
    case.hidden_is_told()?;
    let more = case.decided()?;
    case.same(&more)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 30,
        ..ProptestConfig::with_cases(16)
    })]
    #[test]
    fn the_environment_is_the_one_before_or_the_report_says_where_not(
        tape in prop::collection::vec(any::<u8>(), 160)
    ) {
        hold(&tape)?;
    }
}

/// An empty tape makes the plainest site.
#[test]
fn the_plainest_site_is_the_same() {
    hold(&[]).unwrap();
}
