//! Wrong inputs, and places where nothing can be written: the import leaves no file behind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Machine, mode};

/// The message of an import that fails, writes nothing and quotes no secret.
#[track_caller]
fn refused(machine: &Machine) -> String {
    let error = machine.import().unwrap_err();
    let etc = machine.path("etc/mattervisor");
    if etc.is_dir() {
        let left = fs::read_dir(etc).unwrap().count();
        assert_eq!(left, 0, "{error}");
    }
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error.message
}

#[test]
fn files_that_are_no_gitlab_rb() {
    let mut machine = Machine::new("");
    let gone = machine.path("gone.rb");
    machine.request.file = gone;
    assert!(refused(&machine).contains("there is no such file"));
    machine.request.file = machine.path("etc");
    assert!(refused(&machine).contains("it is a directory"));
    machine.request.file = machine.put("binary.rb", "\u{7f}ELF\0\0");
    assert!(refused(&machine).contains("is not a text"));
    machine.request.file = machine.put("large.rb", &"# x\n".repeat(2_600_000));
    assert!(refused(&machine).contains("larger than 2 MiB"));
    let latin = machine.path("latin.rb");
    fs::write(&latin, b"a = 1\nb = '\xe4'\n").unwrap();
    machine.request.file = latin;
    assert!(refused(&machine).contains(":2: this line is not UTF-8"));
    machine.request.file = machine.put(
        "wrong.rb",
        "a = 1\nmattermost['gitlab_secret'] = 'hunter2\n",
    );
    let message = refused(&machine);
    assert!(message.contains("wrong.rb:2:"), "{message}");
    assert!(message.contains("nothing was written"), "{message}");
}

/// A line break in a role's name would add a line to PostgreSQL's files, so the name does not get
/// into a site file.
#[test]
fn a_name_with_a_line_end_is_not_taken_over() {
    let ruby = "mattermost_external_url 'http://m.example.com'\n\
        postgresql['sql_mattermost_user'] = \"mm\\\"\\nmattervisor /^.*$ \\\"postgres\"\n";
    let (machine, import) = super::imported(ruby);
    let why = super::for_a_person(&import, "postgresql['sql_mattermost_user']");
    assert!(why.contains("cannot contain a line break"), "{why}");
    assert!(
        !machine
            .site()
            .lines()
            .any(|line| line.starts_with("mattermost.sql_user"))
    );
    let dsn = &machine.plan().services["mattermost"].env["MM_SQLSETTINGS_DATASOURCE"];
    assert!(!dsn.value.contains("postgres\""), "{}", dsn.value);
}

#[test]
fn secrets_and_variables_that_are_none() {
    let machine = Machine::new("mattermost_external_url 'http://m.example.com'\n");
    let with = |secrets: Option<&Path>, env_dir: Option<&Path>| {
        let mut request = machine.request.clone();
        request.secrets = secrets.map(Path::to_owned);
        request.env_dir = env_dir.map(Path::to_owned);
        super::run(&request).unwrap_err().message
    };
    let text = machine.put("a.json", "{ \"mattermost\": hunter2");
    let message = with(Some(&text), None);
    assert!(message.contains("this is not JSON") && !message.contains("hunter2"));
    let list = machine.put("b.json", "[]");
    assert!(with(Some(&list), None).contains("no object"));
    assert!(with(Some(&machine.path("gone")), None).contains("no such file"));
    assert!(with(None, Some(&machine.path("gone"))).contains("no such file"));
    assert!(with(None, Some(&list)).contains("not a directory of variables"));
    assert_eq!(
        fs::read_dir(machine.path("etc/mattervisor"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_file_of_secrets_without_mattermost_is_said() {
    let machine = Machine::new("mattermost_external_url 'http://m.example.com'\n");
    let mut request = machine.request.clone();
    request.secrets = Some(machine.put("s.json", "{\"gitlab_rails\":{}}"));
    let import = super::run(&request).unwrap();
    let lines = import.report.lines.iter();
    let said: Vec<String> = lines.map(|it| format!("{:?}", it.fate)).collect();
    assert!(said.iter().any(|it| it.contains("19.0")), "{said:#?}");
}

#[test]
fn places_where_nothing_can_be_written() {
    let mut machine = Machine::new("mattermost_external_url 'http://m.example.com'\n");
    machine.request.output = Some(machine.path("no/such/mattervisor.toml"));
    assert!(refused(&machine).contains("there is no such directory"));
    machine.request.output = Some(machine.path("etc/mattervisor"));
    assert!(refused(&machine).contains("it is a directory"));
    machine.request.output = Some(machine.path("gitlab.rb/x.toml"));
    assert!(!refused(&machine).is_empty());
}

#[test]
fn secrets_that_cannot_take_a_key_are_not_touched() {
    let machine = Machine::new(
        "mattermost_external_url 'http://m.example.com'\nmattermost['gitlab_secret'] = 'new'\n",
    );
    for text in [
        "mattermost = { gitlab_id = 'hunter2' }\n",
        "not toml = hunter2 =\n",
    ] {
        let path = machine.put("etc/mattervisor/secrets.toml", text);
        let error = machine.import().unwrap_err();
        assert!(error.message.contains("cannot add to"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(!machine.path("etc/mattervisor/mattervisor.toml").exists());
    }
}

/// The hint about a missing file names the place of that file in GitLab's package.
#[test]
fn what_is_missing_is_told_with_its_own_place() {
    let hints = |change: &dyn Fn(&mut Machine)| {
        let mut machine = Machine::new("mattermost_external_url 'http://m.example.com'\n");
        change(&mut machine);
        let error = machine.import().unwrap_err();
        assert!(error.message.contains("there is no such"), "{error}");
        error.hints.join("\n")
    };
    let gone = PathBuf::from("/nonexistent/x");
    let told = hints(&|it| it.request.secrets = Some(gone.clone()));
    assert!(told.contains("gitlab-secrets.json"), "{told}");
    let told = hints(&|it| it.request.env_dir = Some(gone.clone()));
    assert!(told.contains("mattermost/env"), "{told}");
    let told = hints(&|it| it.request.file = gone.clone());
    assert!(told.contains("/etc/gitlab/gitlab.rb"), "{told}");
}

/// An entry that fails the check becomes a comment, once and with its origin.
#[test]
fn what_does_not_check_stays_as_a_comment() {
    let machine = Machine::new(
        "mattermost_external_url 'http://m.example.com'\nexternal_url 'http://g.example.com:99999'\n\
        mattermost['service_port'] = 99999\n",
    );
    machine.imported();
    let site = machine.site();
    assert!(
        site.contains("# gitlab.rb line 3: mattermost['service_port'] = 99999: "),
        "{site}"
    );
    assert!(
        site.contains("# GitLab's package: mattermost.gitlab_url `http"),
        "{site}"
    );
    assert!(!site.contains(": : "), "{site}");
}

/// The names in the directory of the site file.
fn beside_the_site_file(machine: &Machine) -> Vec<String> {
    let found = fs::read_dir(machine.path("etc/mattervisor")).unwrap();
    let mut names: Vec<String> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_site_file_of_comments_alone_gives_way() {
    let machine = Machine::new("mattermost_external_url 'http://a.example.com'\n");
    let site = machine.put(
        "etc/mattervisor/mattervisor.toml",
        "# All is unset.\n\n#a = 1\n",
    );
    machine.imported();
    assert!(
        machine.site().contains("http://a.example.com"),
        "{}",
        machine.site()
    );
    assert_eq!(mode(&site), 0o600);
    assert_eq!(beside_the_site_file(&machine), ["mattervisor.toml"]);
    // What sets something stays.
    let error = machine.import().unwrap_err();
    assert!(
        error
            .message
            .ends_with("is there already, and is not overwritten"),
        "{error}"
    );
}
