//! A value that gitlab.rb leaves to Ruby is unknown, not unset: the import decides nothing from an
//! unknown value, and above all makes no empty database.

use super::{Machine, converted, environment::imported, for_a_person, line, not_needed};
use crate::{Import, report::Disposition};

const URL: &str = "mattermost_external_url 'http://m.example.com'\n";
const ALONE: &str =
    "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n";
const KEY: &str = r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000"}"#;

fn run(ruby: &str) -> (Machine, Import) {
    let machine = Machine::new(ruby).secrets(KEY);
    let import = machine.imported();
    (machine, import)
}

/// Why `ctl check-config` refuses the written files with these lines added.
#[track_caller]
fn refused(machine: &Machine, more: &str) -> String {
    match machine.load(more) {
        Ok(_) => panic!("it is taken\n{}", machine.site()),
        Err(problems) => problems.to_string(),
    }
}

/// The next step that has these words.
#[track_caller]
fn step<'i>(import: &'i Import, words: &str) -> &'i str {
    let mut steps = import.report.next.iter();
    steps
        .find(|it| it.contains(words))
        .unwrap_or_else(|| panic!("no step has {words}: {:#?}", import.report.next))
}

/// Only Ruby knows the address and the database.
#[test]
fn an_address_that_is_computed_leaves_the_rest_of_the_import_as_it_is() {
    let (machine, import) = run(
        "external_url 'https://gitlab.example.com'\nmattermost_external_url ENV['URL']\n\
         postgresql['enable'] = false\n\
         mattermost['sql_data_source'] = \"host=db.example.com password=#{ENV['PW']}\"\n",
    );
    for_a_person(&import, "mattermost_external_url");
    for_a_person(&import, "mattermost['sql_data_source']");
    let site = machine.site();
    assert!(site.contains("mattermost.env.GODEBUG"), "{site}");
    assert!(
        site.contains("gitlab_url = \"https://gitlab.example.com\""),
        "{site}"
    );
    step(&import, "the files:");
    let filled_in = "mattermost_external_url = \"https://m.example.com\"";
    let why = refused(&machine, filled_in);
    assert!(why.contains("which database Mattermost has"), "{why}");
    // Once a person names the database, the site file loads.
    let decided =
        format!("{filled_in}\nmattermost.sql_data_source = \"postgres://mm@db.example.com/mm\"");
    let plan = machine.load(&decided).unwrap();
    assert!(plan.services["mattermost"].enabled);
    assert!(!plan.services["postgresql"].enabled);
}

#[test]
fn without_the_key_of_the_database_an_unknown_address_hides_no_warning() {
    let machine = Machine::new("mattermost_external_url ENV['URL']\n");
    let import = machine.imported();
    for_a_person(&import, "mattermost['sql_at_rest_encrypt_key']");
}

#[test]
fn the_variables_answer_what_ruby_alone_knows() {
    let machine = Machine::new(
        "external_url \"https://#{ENV['HOST']}\"\nmattermost_external_url ENV['URL']\n\
         postgresql['enable'] = ENV['PG'] == '1'\n\
         mattermost['sql_data_source'] = \"host=db.example.com password=#{ENV['PW']}\"\n\
         mattermost['team_site_name'] = ENV['NAME']\nmattermost['service_port'] = ENV['PORT']\n\
         mattermost['env'] = { 'HTTP_PROXY' => ENV['PROXY'] }\n",
    )
    .variables(&[
        ("MM_SERVICESETTINGS_SITEURL", "https://m.example.com"),
        ("MM_SERVICESETTINGS_LISTENADDRESS", "127.0.0.1:8070"),
        (
            "MM_SQLSETTINGS_DATASOURCE",
            "user=mm host=db.example.com dbname=mm password=pw",
        ),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "k3y-of-thirty-two-characters-000",
        ),
        ("MM_TEAMSETTINGS_SITENAME", "Team"),
        (
            "MM_GITLABSETTINGS_TOKENENDPOINT",
            "https://gitlab.example.com/oauth/token",
        ),
        ("HTTP_PROXY", "http://proxy:3128"),
    ]);
    let import = machine.imported();
    for what in [
        "mattermost_external_url",
        "mattermost['sql_data_source']",
        "mattermost['team_site_name']",
        "mattermost['service_port']",
        "mattermost['env']['HTTP_PROXY']",
        "postgresql['enable']",
    ] {
        let why = not_needed(&import, what);
        assert!(why.contains("variables"), "{what}: {why}");
    }
    let got = imported(&machine);
    for (name, value) in [
        ("MM_SERVICESETTINGS_SITEURL", "https://m.example.com"),
        ("MM_SERVICESETTINGS_LISTENADDRESS", "127.0.0.1:8070"),
        (
            "MM_SQLSETTINGS_DATASOURCE",
            "user=mm host=db.example.com dbname=mm password=pw",
        ),
        ("MM_TEAMSETTINGS_SITENAME", "Team"),
        ("HTTP_PROXY", "http://proxy:3128"),
        (
            "MM_GITLABSETTINGS_TOKENENDPOINT",
            "https://gitlab.example.com/oauth/token",
        ),
    ] {
        assert_eq!(got.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(
        !machine.site().contains("Not carried over"),
        "{}",
        machine.site()
    );
}

#[test]
fn a_part_of_the_database_that_is_computed_is_not_taken_for_the_default() {
    for (ruby, what) in [
        (
            "mattermost['database_name'] = ENV['X']\n",
            "mattermost['database_name']",
        ),
        (
            "postgresql['sql_mattermost_user'] = ENV['X']\n",
            "postgresql['sql_mattermost_user']",
        ),
        (
            "mattermost['sql_data_source'] = 'a' if ENV['X']\n",
            "mattermost['sql_data_source']",
        ),
        (
            "postgresql['enable'] = ENV['X'] == '1'\n",
            "postgresql['enable']",
        ),
        ("postgresql['enable'] = false\n", "postgresql['enable']"),
    ] {
        for before in [ALONE, "external_url 'https://g.example.com'\n"] {
            let ruby = format!("{before}{}{ruby}", if before == ALONE { "" } else { URL });
            let (machine, import) = run(&ruby);
            for_a_person(&import, what);
            let why = refused(&machine, "");
            assert!(why.contains("which database Mattermost has"), "{ruby}{why}");
            let guessed = import.report.next.iter().any(|it| it.contains("pg_dump"));
            assert!(!guessed, "{ruby}{:#?}", import.report.next);
            step(&import, "which database");
        }
    }
    let (machine, _) = run(&format!("{ALONE}mattermost['database_name'] = ENV['X']\n"));
    assert!(
        !machine.site().contains("mattermost.database_name ="),
        "{}",
        machine.site()
    );
}

#[test]
fn roles_that_are_computed_need_a_person() {
    let (_, import) = run(&format!("{ALONE}roles [ENV['ROLE']]\n"));
    for_a_person(&import, "roles");
}

#[test]
fn a_gitlab_of_an_address_that_is_computed_is_there() {
    let (machine, import) = run(&format!(
        "external_url \"https://#{{ENV['HOST']}}\"\n{URL}nginx['worker_processes'] = 8\n\
         nginx['custom_nginx_config'] = 'include /etc/gitlab/x.conf;'\n\
         postgresql['shared_buffers'] = '16GB'\npostgresql['max_connections'] = 800\n"
    ));
    let why = for_a_person(&import, "external_url");
    assert!(why.contains("gitlab_url"), "{why}");
    for what in [
        "nginx['worker_processes']",
        "nginx['custom_nginx_config']",
        "postgresql['shared_buffers']",
        "postgresql['max_connections']",
    ] {
        not_needed(&import, what);
    }
    assert!(machine.site().contains("mattermost_nginx.enable = false"));
}

/// A Mattermost that was off keeps its environment for the day on which it is turned on.
#[test]
fn a_mattermost_that_was_off_stays_off() {
    let (machine, import) = run(&format!("{ALONE}mattermost['enable'] = false\n"));
    assert_eq!(
        converted(&import, "mattermost['enable']"),
        ["mattermost.enable"]
    );
    let plan = machine.plan();
    for name in ["mattermost", "postgresql", "nginx"] {
        assert!(!plan.services[name].enabled, "{name}");
    }
    step(&import, "mattermost.enable");
    assert!(
        machine.site().contains("mattermost.env.GODEBUG"),
        "{}",
        machine.site()
    );
    let (machine, _) = run(
        "mattermost['enable'] = true\nmattermost['service_site_url'] = 'http://m.example.com'\n",
    );
    assert!(machine.plan().services["mattermost"].enabled);
}

/// The package takes `false` as unset where its file of secrets has another value.
#[test]
fn what_the_secrets_say_counts_against_false() {
    let machine = Machine::new(&format!("{ALONE}mattermost['gitlab_enable'] = false\n"))
        .secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000","gitlab_enable":true,"gitlab_id":"i","gitlab_secret":"s"}"#);
    let import = machine.imported();
    let why = not_needed(&import, "mattermost['gitlab_enable']");
    assert!(why.contains("gitlab-secrets.json"), "{why}");
    assert_eq!(imported(&machine)["MM_GITLABSETTINGS_ENABLE"], "true");
    let machine =
        Machine::new(&format!("{ALONE}mattermost['gitlab_enable'] = false\n")).secrets(KEY);
    machine.imported();
    assert_eq!(imported(&machine)["MM_GITLABSETTINGS_ENABLE"], "false");
}

/// GitLab 11.0 and later ignore the old style. Without the directory of variables the import cannot
/// know GitLab's version, so the line is converted with a remark.
#[test]
fn a_line_of_the_old_style_is_told_to_have_been_ignored() {
    let (_, import) = run(&format!("{ALONE}mattermost['email_smtp_password'] = 'x'\n"));
    let line = line(&import, "mattermost['email_smtp_password']");
    let remark = line.remark.as_deref().unwrap_or_default();
    assert!(
        matches!(line.fate, Disposition::Converted(_)) && remark.contains("11.0"),
        "{line:?}"
    );
}

const MOVED: &str = "postgresql['dir'] = '/srv/gitlab/postgresql'\n\
    postgresql['unix_socket_directory'] = '/run/gitlab-pg'\npostgresql['port'] = 5433\n\
    mattermost['home'] = '/srv/mattermost'\nmattermost['file_directory'] = '/mnt/nfs/data'\n\
    mattermost['database_name'] = 'mm_prod'\n";

/// The import recognizes GitLab's own PostgreSQL at any socket or port that gitlab.rb sets.
#[test]
fn a_postgresql_of_gitlab_at_another_place_moves_too() {
    let source = "user=gitlab_mattermost host=/run/gitlab-pg port=5433 dbname=mm_prod";
    let tcp = "postgres://gitlab_mattermost:pw@127.0.0.1:5433/mm_prod";
    for machine in [
        Machine::new(&format!("{ALONE}{MOVED}")),
        Machine::new(&format!("{ALONE}{MOVED}"))
            .variables(&[("MM_SQLSETTINGS_DATASOURCE", source)]),
        Machine::new(&format!(
            "{ALONE}{MOVED}mattermost['sql_data_source'] = '{source}'\n"
        )),
        Machine::new(&format!(
            "{ALONE}{MOVED}postgresql['listen_address'] = 'localhost'\nmattermost['sql_data_source'] = '{tcp}'\n"
        )),
    ] {
        let import = machine.imported();
        let plan = machine.plan();
        assert!(plan.services["postgresql"].enabled, "{}", machine.site());
        let got = &plan.services["mattermost"].env["MM_SQLSETTINGS_DATASOURCE"].value;
        let same = got.contains("user=gitlab_mattermost ") && got.ends_with("dbname=mm_prod");
        assert!(same, "{got}");
        let dump = step(&import, "pg_dump");
        assert!(dump.contains("-h /run/gitlab-pg -p 5433 mm_prod"), "{dump}");
        let files = step(&import, "the files:");
        assert!(files.contains("/srv/mattermost"), "{files}");
        assert!(
            !files.contains("/var/opt/gitlab/mattermost/data"),
            "{files}"
        );
    }
    // A database of another PostgreSQL on this machine stays where it is.
    let machine = Machine::new(&format!(
        "{ALONE}mattermost['sql_data_source'] = 'user=mm host=/run/postgresql dbname=mm'\n"
    ));
    machine.imported();
    assert!(!machine.plan().services["postgresql"].enabled);
}

/// The step names the old and the new place of each file.
#[test]
fn the_files_are_named_with_where_they_are_and_where_they_go() {
    let (_, import) = run(ALONE);
    let files = step(&import, "the files:");
    for words in [
        "/var/opt/gitlab/mattermost/config.json",
        "/var/opt/gitlab/mattermost/data",
        "/var/lib/mattervisor/mattermost/data",
    ] {
        assert!(files.contains(words), "{files}");
    }
}
