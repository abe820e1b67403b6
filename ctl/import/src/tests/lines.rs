//! What becomes of single lines, and where the report tells of them.

use std::fs;

use super::{Machine, converted, for_a_person, imported, line, mode, not_needed};
use crate::report::{Disposition, Origin};

const ALONE: &str =
    "mattermost_external_url 'https://m.example.com'\ngitlab_rails['enable'] = false\n";

fn alone(more: &str) -> (Machine, crate::Import) {
    imported(&format!("{ALONE}{more}"))
}

#[test]
fn every_line_of_the_split_server_has_its_place() {
    let (machine, import) = imported(include_str!("../fixtures/split.rb"));
    for (what, key) in [
        ("gitlab_rails['enable']", "gitlab_rails.enable"),
        ("redis['enable']", "redis.enable"),
        ("postgres_exporter['enable']", "postgres_exporter.enable"),
        ("grafana['enable']", "grafana.enable"),
        ("mattermost['uid']", "mattermost.uid"),
        (
            "mattermost_nginx['ssl_certificate']",
            "mattermost_nginx.ssl_certificate",
        ),
        (
            "mattermost_nginx['proxy_set_headers']",
            "mattermost_nginx.proxy_set_headers",
        ),
        ("nginx['worker_processes']", "nginx.worker_processes"),
        ("postgresql['shared_buffers']", "postgresql.shared_buffers"),
        ("postgresql['port']", "postgresql.port"),
        (
            "mattermost['env']['HTTP_PROXY']",
            "mattermost.env.HTTP_PROXY",
        ),
    ] {
        assert_eq!(converted(&import, what), [key]);
    }
    for what in [
        "external_url",
        "roles",
        "mattermost['home']",
        "nginx['client_max_body_size']",
    ] {
        not_needed(&import, what);
    }
    let [_, _, person] = import.report.counts();
    let lines = import.report.lines.iter();
    let left: Vec<_> = lines
        .filter(|it| matches!(it.fate, Disposition::Person(_)))
        .collect();
    // Without a file of secrets, only the database's key is left to a person.
    assert_eq!(person, 1, "{left:#?}");
    assert!(left[0].what.contains("at_rest"), "{left:#?}");
    // The report has a line for each statement of the file.
    let told = |number: usize| {
        let mut lines = import.report.lines.iter();
        lines.any(|it| it.origin == Origin::Line(number))
    };
    for (index, text) in include_str!("../fixtures/split.rb").lines().enumerate() {
        let begins =
            text.contains("['") && !text.starts_with([' ', '#']) && !text.contains("'env'");
        assert!(!begins || told(index + 1), "line {}: {text}", index + 1);
    }
    let plan = machine.plan();
    assert_eq!(plan.services["mattermost"].uid, Some(1234));
    assert!(plan.services["nginx"].enabled && plan.services["postgresql"].enabled);
}

#[test]
fn sections_of_gitlab_stay_with_it() {
    let (_, import) = alone(
        "gitlab_rails['smtp_password'] = \"hunter2\"\nregistry_external_url 'https://r.example.com'\n\
         gitlab_rails['ldap_servers'] = YAML.load <<~EOS\n  main: x\nEOS\n\
         sidekiq['concurrency'] = ENV['N'].to_i\nuser['uid'] = 9\ngit_data_dirs({ 'default' => { 'path' => '/x' } })\n\
         gitlab_rails['mattermost_host'] = 'https://m.example.com'\npuma['worker_processes'] = 2\n",
    );
    for what in [
        "gitlab_rails['smtp_password']",
        "gitlab_rails['ldap_servers']",
        "registry_external_url",
        "sidekiq['concurrency']",
        "user['uid']",
        "git_data_dirs",
        "gitlab_rails['mattermost_host']",
        "puma['worker_processes']",
    ] {
        not_needed(&import, what);
    }
}

#[test]
fn what_cannot_be_known_or_is_wrong_needs_a_person() {
    let (machine, import) = alone(
        "mattermost['gitlab_secret'] = ENV['GL_SECRET']\nmattermost['service_port'] = 'abc'\n\
         mattermost['sevice_address'] = '1.2.3.4'\nmattermst['enable'] = true\n\
         mattermost_nginx['listen_port'] = 99999\nmattermost['team_site_name'] = 'a' if ENV['B']\n\
         mattermost['enable'] = ENV['ON']\nmattermost_external_url = 'http://x'\n\
         mattermost['env'] = { 'A' => ENV['A'], 'B' => '1', 'C D' => 'x' }\nfoo_external_url 'x'\n\
         mattermost['sql_data_source_replicas'] = ['user=a host=b', 'c']\n",
    );
    for (what, why) in [
        ("mattermost['gitlab_secret']", "GL_SECRET"),
        ("mattermost['service_port']", "not a number"),
        ("mattermost['sevice_address']", "service_address"),
        ("mattermst['enable']", "did you mean mattermost?"),
        ("mattermost_nginx['listen_port']", "99999"),
        ("mattermost['team_site_name']", "variable B"),
        ("mattermost['enable']", "variable ON"),
        ("mattermost_external_url = 'http://x'", "without `=`"),
        ("mattermost['env']['A']", "variable A"),
        ("mattermost['env']['C D']", "name"),
        ("foo_external_url", "no setting of this name"),
        ("mattermost['sql_data_source_replicas']", "blank"),
    ] {
        let said = for_a_person(&import, what);
        assert!(said.contains(why), "{what}: {said}");
    }
    converted(&import, "mattermost['env']['B']");
    // A statement that is left out becomes a comment of the site file, with its line.
    assert!(
        machine
            .site()
            .contains("# gitlab.rb line 3: mattermost['gitlab_secret'] = ENV['GL_SECRET']")
    );
    let text = &line(&import, "mattermost['gitlab_secret']").text;
    assert_eq!(text, "mattermost['gitlab_secret'] = ENV['GL_SECRET']");
    machine.plan();
}

#[test]
fn the_last_of_several_lines_counts() {
    let (machine, import) = alone(
        "mattermost['service_port'] = 1\nmattermost['service_port'] = 2\n\
         mattermost['env'] = { 'A' => '1' }\nmattermost['env'] = { 'B' => '2' }\n",
    );
    let first = &import.report.lines[0];
    assert!(matches!(first.fate, Disposition::Converted(_)));
    let why = not_needed(&import, "mattermost['service_port']");
    assert!(why.contains("line 4"), "{why}");
    let env = &machine.plan().services["mattermost"].env;
    assert!(env.get("A").is_none() && env.get("B").is_some());
}

#[test]
fn gitlab_on_the_machine_is_seen_without_an_external_url() {
    let machine = Machine::new("mattermost_external_url 'http://m.example.com'\n");
    fs::create_dir_all(machine.path("opt/gitlab/embedded")).unwrap();
    machine.imported();
    assert!(!machine.plan().services["nginx"].enabled);
    // A package with GitLab off leaves the ports free: Mattermost's own nginx serves.
    let machine = Machine::new(ALONE);
    fs::create_dir_all(machine.path("opt/gitlab/embedded")).unwrap();
    let import = machine.imported();
    assert!(machine.plan().services["nginx"].enabled);
    assert!(
        import.report.next[0].contains("gitlab-runsvdir"),
        "{:?}",
        import.report.next
    );
}

#[test]
fn beside_gitlab_its_own_servers_are_left_to_it() {
    let (machine, import) = imported(
        "external_url 'https://g.example.com'\nmattermost_external_url 'https://m.example.com'\n\
         postgresql['shared_buffers'] = '8GB'\npostgresql['listen_address'] = '0.0.0.0'\n\
         nginx['worker_processes'] = 32\nletsencrypt['enable'] = true\nredis['enable'] = true\n\
         mattermost_nginx['custom_gitlab_mattermost_server_config'] = 'deny 10.0.0.1;'\n",
    );
    for what in [
        "postgresql['shared_buffers']",
        "postgresql['listen_address']",
        "nginx['worker_processes']",
        "letsencrypt['enable']",
        "redis['enable']",
    ] {
        not_needed(&import, what);
    }
    converted(
        &import,
        "mattermost_nginx['custom_gitlab_mattermost_server_config']",
    );
    machine.plan();
}

#[test]
fn without_mattermost_there_is_little_to_import_and_it_is_said() {
    let (machine, import) = imported("external_url 'https://g.example.com'\n");
    let why = for_a_person(&import, "mattermost_external_url");
    assert!(why.contains("does not run here"), "{why}");
    assert!(!machine.plan().services["mattermost"].enabled);
}

#[test]
fn files_are_for_their_owner_and_never_overwritten() {
    let machine = Machine::new(&format!("{ALONE}mattermost['gitlab_secret'] = 'hunter2'\n"));
    let import = machine.imported();
    let site = machine.path("etc/mattervisor/mattervisor.toml");
    let secrets = machine.path("etc/mattervisor/secrets.toml");
    assert_eq!(import.written, [site.clone(), secrets.clone()]);
    assert_eq!((mode(&site), mode(&secrets)), (0o600, 0o600));
    let before = (machine.site(), machine.secrets_file());
    let error = machine.import().unwrap_err();
    assert!(error.message.contains("not overwritten"), "{error}");
    assert_eq!(before, (machine.site(), machine.secrets_file()));
    // Existing secrets stay, and missing secrets are added.
    fs::remove_file(&site).unwrap();
    fs::write(&secrets, "# mine\nmattermost.gitlab_secret = \"other\"\n").unwrap();
    let machine =
        machine.secrets(r#"{"sql_at_rest_encrypt_key":"k3y-of-thirty-two-characters-000"}"#);
    let import = machine.imported();
    let why = for_a_person(&import, "mattermost.gitlab_secret");
    assert!(why.contains("another value"), "{why}");
    assert_eq!(
        machine.secrets_file(),
        "# mine\nmattermost.sql_at_rest_encrypt_key = \"k3y-of-thirty-two-characters-000\"\nmattermost.gitlab_secret = \"other\"\n"
    );
}

#[test]
fn no_secret_is_in_the_site_file_or_the_report() {
    let machine = Machine::new(&format!(
        "{ALONE}pw = 'hunter2'\nmattermost['gitlab_secret'] = pw\n\
         mattermost['email_smtp_password'] = \"hunter2\"\nmattermost['webrtc_gateway_admin_secret'] = 'hunter2'\n\
         mattermost['env'] = {{ 'X' => 'https://u:hunter2@proxy', 'MY_TOKEN' => \"hunter2\" }}\n\
         mattermost['file_amazon_s3_secret_access_key'] = \"hunter2\" + ENV['X']\n\
         mattermost['sql_data_source_replicas'] = ['postgres://a:hunter2@b/c']\n\
         mattermost['gitlab_enable'] = 'hunter2' if ENV['A_SECRET']\n"
    ))
    .secrets(r#"{"sql_at_rest_encrypt_key":"hunter2","gitlab_id":"x"}"#);
    let import = machine.imported();
    let json = serde_json::to_string(&import.report.json(Some(&import.site), vec![])).unwrap();
    for text in [machine.site(), format!("{:?}", import.report), json] {
        let lines: Vec<&str> = text.lines().filter(|it| it.contains("hunter2")).collect();
        // The name `gitlab_enable` marks no secret, and nor does the value `hunter2` by itself.
        assert!(
            lines.iter().all(|it| it.contains("gitlab_enable")),
            "{lines:#?}"
        );
    }
    assert!(machine.secrets_file().matches("hunter2").count() >= 5);
}
