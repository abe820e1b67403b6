//! Mattermost has the environment here that GitLab's package gave it, but for the variables that
//! this file lists with a reason.

use std::collections::BTreeMap;

use plan::Problems;

use super::{Machine, converted, for_a_person, line};
use crate::{
    Import,
    report::{Disposition, Origin},
};

type Environment = BTreeMap<String, String>;

/// Variables that differ for a good reason, and the reason. All others must be the same.
const DIFFERENT: [(&str, &str); 7] = [
    ("MM_LOGSETTINGS_FILELOCATION", "a path"),
    ("MM_FILESETTINGS_DIRECTORY", "a path"),
    ("MM_PLUGINSETTINGS_DIRECTORY", "a path"),
    ("MM_PLUGINSETTINGS_CLIENTDIRECTORY", "a path"),
    (
        "MM_SQLSETTINGS_DATASOURCE",
        "the path of the socket; role, port and database are the same",
    ),
    (
        "SSL_CERT_DIR",
        "a path: the system's certificates in place of those of GitLab's package",
    ),
    (
        "MM_INSTALL_TYPE",
        "Mattermost does not come with GitLab's package any more",
    ),
];

/// Variables that the package did not set, and why Mattermost has them here.
const BESIDES: [(&str, &str); 8] = [
    ("PATH", "the package's supervisor gave one too"),
    ("MM_CONFIG", "the package named config.json by an argument"),
    (
        "MM_LOGSETTINGS_ENABLECONSOLE",
        "the supervisor keeps what Mattermost logs to its standard output",
    ),
    ("MM_LOGSETTINGS_CONSOLEJSON", "the same"),
    (
        "MM_LOGSETTINGS_ENABLEFILE",
        "the same, so that it is not logged twice",
    ),
    ("MM_NOTIFICATIONLOGSETTINGS_ENABLEFILE", "the same"),
    ("MM_SERVICESETTINGS_ENABLELOCALMODE", "for mmctl --local"),
    ("MM_SERVICESETTINGS_LOCALMODESOCKETLOCATION", "the same"),
];

/// The environment that omnibus-gitlab 18.11 computes for every installation, with these variables
/// on top; an empty value unsets a variable.
fn package(own: &[(&str, &str)]) -> Environment {
    let always = [
        ("MM_SERVICESETTINGS_LISTENADDRESS", "127.0.0.1:8065"),
        ("MM_SERVICESETTINGS_ENABLEAPITEAMDELETION", "true"),
        ("MM_TEAMSETTINGS_SITENAME", "GitLab Mattermost"),
        ("MM_SQLSETTINGS_DRIVERNAME", "postgres"),
        (
            "MM_SQLSETTINGS_DATASOURCE",
            "user=gitlab_mattermost host=/var/opt/gitlab/postgresql port=5432 dbname=mattermost_production",
        ),
        ("MM_LOGSETTINGS_FILELOCATION", "/var/log/gitlab/mattermost"),
        (
            "MM_FILESETTINGS_DIRECTORY",
            "/var/opt/gitlab/mattermost/data",
        ),
        (
            "MM_PLUGINSETTINGS_DIRECTORY",
            "/var/opt/gitlab/mattermost/plugins",
        ),
        (
            "MM_PLUGINSETTINGS_CLIENTDIRECTORY",
            "/var/opt/gitlab/mattermost/client-plugins",
        ),
        ("MM_GITLABSETTINGS_ENABLE", "false"),
        ("MM_INSTALL_TYPE", "gitlab_omnibus"),
        ("SSL_CERT_DIR", "/opt/gitlab/embedded/ssl/certs/"),
        ("GODEBUG", "tlsmlkem=0"),
    ];
    let mut all: Environment = BTreeMap::new();
    for (name, value) in always.iter().chain(own) {
        if value.is_empty() {
            all.remove(*name);
        } else {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
    }
    all
}

/// Mattermost's environment after the import, by the plan of the files on disk.
pub(super) fn imported(machine: &Machine) -> Environment {
    imported_with(machine, "").unwrap_or_else(|problems| panic!("{problems}\n{}", machine.site()))
}

/// [`imported`] with these lines at the top of the site file.
pub(super) fn imported_with(machine: &Machine, more: &str) -> Result<Environment, Problems> {
    let plan = machine.load(more)?;
    let service = &plan.services["mattermost"];
    assert!(service.enabled, "{}", machine.site());
    let variables = service.env.iter();
    Ok(variables
        .map(|(name, it)| (name.clone(), it.value.clone()))
        .collect())
}

/// Whether the report says more about a variable than which key the variable became.
pub(super) fn told(import: &Import, name: &str) -> bool {
    import.report.lines.iter().any(|line| {
        let named = line.what.contains(name) || line.text.contains(name);
        let bare = matches!(line.fate, Disposition::Converted(_)) && line.remark.is_none();
        let reason = format!("{:?} {:?}", line.fate, line.remark);
        !bare && (named || reason.contains(name))
    })
}

/// Compares the imported environment with the wanted one; the report must name each difference.
#[track_caller]
fn same(machine: &Machine, import: &Import, wanted: &Environment) {
    let got = imported(machine);
    for (name, value) in wanted {
        if DIFFERENT.iter().any(|(it, _)| it == name) {
            assert!(told(import, name) || got.get(name) == Some(value), "{name}");
            continue;
        }
        assert_eq!(got.get(name), Some(value), "{name}\n{}", machine.site());
    }
    for (name, value) in &got {
        let listed = BESIDES.iter().any(|(it, _)| it == name);
        let new = listed && (name == "PATH" || told(import, name));
        assert!(
            wanted.contains_key(name) || new,
            "{name}={value} was not there\n{}",
            machine.site()
        );
    }
    // Apart from the socket's path, the database is the same.
    let source = &got["MM_SQLSETTINGS_DATASOURCE"];
    let without_host = |source: &str| {
        let words = source.split(' ').filter(|it| !it.starts_with("host="));
        words.collect::<Vec<_>>().join(" ")
    };
    let before = &wanted["MM_SQLSETTINGS_DATASOURCE"];
    assert_eq!(without_host(source), without_host(before));
    let ours = machine.path("run/mattervisor/postgresql");
    if before.contains("host=/var/opt/gitlab/postgresql") {
        assert!(
            source.contains(&format!("host={}", ours.display())),
            "{source}"
        );
    }
}

#[test]
fn the_least_that_turns_mattermost_on() {
    let machine = Machine::new(
        "mattermost_external_url 'http://mattermost.example.com'\ngitlab_rails['enable'] = false\n",
    )
    .secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000","gitlab_id":"id-1","gitlab_secret":"s-1","email_invite_salt":"a","file_public_link_salt":"b"}"#);
    let import = machine.imported();
    let wanted = package(&[
        (
            "MM_SERVICESETTINGS_SITEURL",
            "http://mattermost.example.com",
        ),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
        ("MM_GITLABSETTINGS_ID", "id-1"),
        ("MM_GITLABSETTINGS_SECRET", "s-1"),
    ]);
    same(&machine, &import, &wanted);
    assert!(machine.plan().services["nginx"].enabled);
}

#[test]
fn beside_gitlab_with_the_automatic_authorization() {
    // The package writes these secrets after it has authorized Mattermost by itself.
    let machine = Machine::new(
        "external_url 'https://gitlab.example.com'\n\
         mattermost_external_url 'https://mattermost.example.com'\n",
    )
    .secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000","gitlab_enable":true,"gitlab_id":"id-1","gitlab_secret":"s-1","gitlab_scope":""}"#);
    let import = machine.imported();
    let wanted = package(&[
        (
            "MM_SERVICESETTINGS_SITEURL",
            "https://mattermost.example.com",
        ),
        (
            "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS",
            "gitlab.example.com",
        ),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
        ("MM_GITLABSETTINGS_ENABLE", "true"),
        ("MM_GITLABSETTINGS_ID", "id-1"),
        ("MM_GITLABSETTINGS_SECRET", "s-1"),
        (
            "MM_GITLABSETTINGS_AUTHENDPOINT",
            "https://gitlab.example.com/oauth/authorize",
        ),
        (
            "MM_GITLABSETTINGS_TOKENENDPOINT",
            "https://gitlab.example.com/oauth/token",
        ),
        (
            "MM_GITLABSETTINGS_USERAPIENDPOINT",
            "https://gitlab.example.com/api/v4/user",
        ),
    ]);
    same(&machine, &import, &wanted);
    // GitLab's nginx has the ports, and looks for the certificates in /etc/gitlab/ssl.
    assert!(!machine.plan().services["nginx"].enabled);
    assert!(machine.site().contains("mattermost_nginx.enable = false"));
    assert!(
        machine
            .site()
            .contains("/etc/gitlab/ssl/mattermost.example.com.crt")
    );
    assert!(
        import.report.next[0].contains("ctl gitlab vhost"),
        "{:?}",
        import.report.next
    );
}

#[test]
fn authorized_by_hand_with_everything_set() {
    let machine = Machine::new(include_str!("../fixtures/split.rb"))
        .secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000"}"#);
    let import = machine.imported();
    let wanted = package(&[
        ("MM_SERVICESETTINGS_SITEURL", "https://chat.example.com"),
        ("MM_SERVICESETTINGS_LISTENADDRESS", "127.0.0.2:8066"),
        (
            "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS",
            "10.0.0.0/8 intern",
        ),
        ("MM_SERVICESETTINGS_ENABLEAPITEAMDELETION", "false"),
        ("MM_TEAMSETTINGS_SITENAME", "Example \"Chat\" für alle"),
        (
            "MM_SQLSETTINGS_DATASOURCE",
            "user=gitlab_mattermost host=/var/opt/gitlab/postgresql port=5433 dbname=chat",
        ),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
        ("MM_GITLABSETTINGS_ENABLE", "true"),
        ("MM_GITLABSETTINGS_ID", "12345656"),
        ("MM_GITLABSETTINGS_SECRET", "123456789"),
        ("MM_GITLABSETTINGS_SCOPE", "read_user"),
        (
            "MM_GITLABSETTINGS_AUTHENDPOINT",
            "http://gitlab.example.com/oauth/authorize",
        ),
        (
            "MM_GITLABSETTINGS_TOKENENDPOINT",
            "http://gitlab.example.com/oauth/token",
        ),
        (
            "MM_GITLABSETTINGS_USERAPIENDPOINT",
            "http://gitlab.example.com/api/v4/user",
        ),
        ("GODEBUG", "tlsmlkem=1"),
        ("HTTP_PROXY", "http://proxy:3128"),
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("NO_PROXY", "localhost,10.0.0.0/8"),
        ("MM_TEAMSETTINGS_MAXUSERSPERTEAM", "500"),
        ("MM_EMAILSETTINGS_SMTPPASSWORD", "hunter2"),
        ("MM_EMAILSETTINGS_SENDEMAILNOTIFICATIONS", "true"),
        ("MM_PLUGINSETTINGS_PLUGINS", "{\"a\":{\"b\":1}}"),
    ]);
    same(&machine, &import, &wanted);
    for secret in ["hunter2", "123456789", "k3y-of-thirty-two-characters-000"] {
        assert!(!machine.site().contains(secret), "{}", machine.site());
        assert!(machine.secrets_file().contains(secret));
    }
}

#[test]
fn a_database_elsewhere() {
    let source = "postgres://mm:p4ss@db.example.com:5432/mm?sslmode=require";
    let machine = Machine::new(&format!(
        "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n\
         postgresql['enable'] = false\nmattermost['sql_data_source'] = \"{source}\"\n\
         mattermost['sql_at_rest_encrypt_key'] = 'k3y-of-thirty-two-characters-000'\n"
    ));
    let import = machine.imported();
    let wanted = package(&[
        ("MM_SERVICESETTINGS_SITEURL", "http://m.example.com"),
        ("MM_SQLSETTINGS_DATASOURCE", source),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
    ]);
    same(&machine, &import, &wanted);
    assert!(!machine.site().contains("p4ss"));
    assert!(!machine.plan().services["postgresql"].enabled);
}

#[test]
fn hosts_of_ones_own_are_trusted_beside_gitlab() {
    let machine = Machine::new(
        "external_url 'https://gitlab.example.com'\nmattermost_external_url 'http://m.example.com'\n\
         mattermost['service_allowed_untrusted_internal_connections'] = '10.0.0.0/8'\n",
    )
    .secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000"}"#);
    let import = machine.imported();
    let trusted = "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS";
    assert_eq!(imported(&machine)[trusted], "10.0.0.0/8 gitlab.example.com");
    assert_eq!(import.report.counts()[2], 0, "{:#?}", import.report);
}

#[test]
fn an_empty_variable_took_it_away() {
    let machine = Machine::new(
        "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n\
         mattermost['env'] = { 'HTTP_PROXY' => '', 'X' => \"kept  \\nlost\", 'Y' => nil, 'Z' => 0 }\n\
         mattermost['team_site_name'] = ''\n",
    )
    .secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000"}"#);
    let import = machine.imported();
    let got = imported(&machine);
    assert!(!got.contains_key("HTTP_PROXY") && !got.contains_key("Y"));
    assert_eq!(got["Z"], "0");
    // The package passed only the first line on. Here the value is whole, and the report says so.
    assert_eq!(got["X"], "kept  \nlost");
    let remark = line(&import, "mattermost['env']['X']").remark.as_deref();
    assert!(
        remark.unwrap_or_default().contains("first line"),
        "{remark:?}"
    );
}

/// The parts stand after the source, so that their order is no help.
#[test]
fn a_data_source_counts_more_than_settings_for_its_parts() {
    let source = "user=own host=/var/opt/gitlab/postgresql port=5432 dbname=own_db";
    let hidden = "ENV['SOURCE']".to_owned();
    for (said, directory) in [(hidden, true), (format!("'{source}'"), false)] {
        let mut machine = Machine::new(&format!(
            "mattermost_external_url 'http://m.example.com'\n\
             mattermost['sql_data_source'] = {said}\n\
             mattermost['database_name'] = 'part_db'\n\
             postgresql['sql_mattermost_user'] = 'part'\n"
        ));
        if directory {
            machine = machine.variables(&[("MM_SQLSETTINGS_DATASOURCE", source)]);
        }
        let import = machine.imported();
        let got = &imported(&machine)["MM_SQLSETTINGS_DATASOURCE"];
        assert!(
            got.starts_with("user=own ") && got.ends_with("dbname=own_db"),
            "{got}"
        );
        for what in [
            "mattermost['database_name']",
            "postgresql['sql_mattermost_user']",
        ] {
            let fate = &line(&import, what).fate;
            assert!(
                matches!(fate, Disposition::NotNeeded(_)),
                "{what}: {fate:?}"
            );
        }
    }
}

#[test]
fn the_directory_of_variables_is_the_truth() {
    let machine = Machine::new(
        "external_url 'http://gitlab.example.com'\nmattermost_external_url 'http://m.example.com'\n\
         mattermost['team_site_name'] = 'New'\nmattermost['team_max_users_per_team'] = 9\n\
         mattermost['env'] = { 'A' => 'b' }\n",
    )
    .secrets(r#"{"sql_at_rest_encrypt_key":"stale"}"#)
    .variables(&[
        ("MM_SERVICESETTINGS_SITEURL", "http://m.example.com\n"),
        ("MM_SERVICESETTINGS_LISTENADDRESS", "127.0.0.1:8065"),
        ("MM_SERVICESETTINGS_ENABLEAPITEAMDELETION", "true"),
        ("MM_TEAMSETTINGS_SITENAME", "Old"),
        ("MM_SQLSETTINGS_DRIVERNAME", "postgres"),
        (
            "MM_SQLSETTINGS_DATASOURCE",
            "user=chat host=/var/opt/gitlab/postgresql port=5432 dbname=chat_db",
        ),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
        ("MM_FILESETTINGS_DIRECTORY", "/srv/chat"),
        ("MM_GITLABSETTINGS_ENABLE", "false"),
        ("MM_GITLABSETTINGS_SCOPE", ""),
        ("MM_GITLABSETTINGS_SECRET", "s-1  \nx"),
        ("A", "b"),
        ("EXTRA", "1"),
        (".swp", "x"),
    ]);
    let import = machine.imported();
    let got = imported(&machine);
    for (name, value) in [
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
        ("MM_FILESETTINGS_DIRECTORY", "/srv/chat"),
        ("MM_GITLABSETTINGS_SECRET", "s-1"),
        ("A", "b"),
        ("EXTRA", "1"),
        ("MM_TEAMSETTINGS_SITENAME", "New"),
    ] {
        assert_eq!(got.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!got.contains_key("GODEBUG"), "an older package had none");
    let source = &got["MM_SQLSETTINGS_DATASOURCE"];
    assert!(source.starts_with("user=chat ") && source.ends_with("dbname=chat_db"));
    let why = for_a_person(&import, "MM_TEAMSETTINGS_SITENAME");
    assert!(why.contains("reconfigure"), "{why}");
    // GitLab 11.0 and later ignore this style: the value of the System Console counts.
    let why = for_a_person(&import, "mattermost['team_max_users_per_team']");
    assert!(why.contains("11.0"), "{why}");
    assert!(!got.contains_key("MM_TEAMSETTINGS_MAXUSERSPERTEAM"));
    assert_eq!(converted(&import, "EXTRA"), ["mattermost.env.EXTRA"]);
    assert_eq!(line(&import, "EXTRA").origin, Origin::EnvDir);
}
