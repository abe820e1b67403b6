//! Forms of Ruby in which values have second names, are merged, or are unknown. No form may get a
//! secret into the report.

use super::{Machine, converted, for_a_person, imported, line};
use crate::Import;

const ALONE: &str =
    "mattermost_external_url 'https://m.example.com'\ngitlab_rails['enable'] = false\n";

fn alone(more: &str) -> (Machine, Import) {
    imported(&format!("{ALONE}{more}"))
}

#[test]
fn a_merged_section_loses_nothing_that_comes_after_it() {
    for method in ["merge!", "update"] {
        let (machine, import) = alone(&format!(
            "mattermost.{method}('service_port' => 8066, 'gitlab_secret' => 'hunter2')\n\
             mattermost['service_address'] = '0.0.0.0'\nmattermost['env'] = {{ 'X' => 'y' }}\n"
        ));
        for (what, key) in [
            ("mattermost['service_port']", "mattermost.service_port"),
            ("mattermost['gitlab_secret']", "mattermost.gitlab_secret"),
            (
                "mattermost['service_address']",
                "mattermost.service_address",
            ),
            ("mattermost['env']['X']", "mattermost.env.X"),
        ] {
            assert_eq!(converted(&import, what), [key]);
        }
        assert!(!format!("{:?}", import.report).contains("hunter2"));
        assert!(!import.site.contains("hunter2"));
        assert!(machine.secrets_file().contains("hunter2"));
    }
    // An unknown merge needs a person, and later settings still count.
    let (_, import) = alone("mattermost.merge!(common)\nmattermost['service_port'] = 8066\n");
    let why = for_a_person(&import, "mattermost.merge!(common)");
    assert!(why.contains("all of mattermost"), "{why}");
    converted(&import, "mattermost['service_port']");
}

#[test]
fn second_names_are_followed() {
    let (_, import) = alone(
        "mattermost['database_name'] = 'mm'\nmm = mattermost\nmm['service_port'] = 8066\n\
         ng = mattermost_nginx\nng['client_max_body_size'] = '50m'\nmm.merge!('uid' => 900)\n\
         mattermost['env'] = { 'A' => '1' }\nvariables = mattermost['env']\nvariables['B'] = '2'\n\
         variables.merge!('C' => '3')\n",
    );
    for (what, key) in [
        ("mattermost['service_port']", "mattermost.service_port"),
        (
            "mattermost_nginx['client_max_body_size']",
            "mattermost_nginx.client_max_body_size",
        ),
        ("mattermost['uid']", "mattermost.uid"),
        ("mattermost['env']['A']", "mattermost.env.A"),
        ("mattermost['env']['B']", "mattermost.env.B"),
        ("mattermost['env']['C']", "mattermost.env.C"),
    ] {
        assert_eq!(converted(&import, what), [key]);
    }
}

#[test]
fn a_hash_that_is_changed_by_another_name_needs_a_person() {
    for change in ["common['B'] = '2'", "common.merge!('B' => '2')"] {
        let (_, import) = alone(&format!(
            "common = {{ 'A' => '1' }}\nmattermost['env'] = common\n{change}\n"
        ));
        for_a_person(&import, change);
    }
    // A change of the original does not change a copy.
    let (_, import) = alone(
        "common = { 'A' => '1' }\nmattermost['env'] = common.dup\ncommon['B'] = '2'\n\
         mattermost['env'] = common.merge('C' => '3')\n",
    );
    for what in ["A", "B", "C"] {
        converted(&import, &format!("mattermost['env']['{what}']"));
    }
}

#[test]
fn variables_are_merged_with_and_without_braces() {
    for more in ["'NO_PROXY' => 'localhost'", "{ 'NO_PROXY' => 'localhost' }"] {
        let (_, import) = alone(&format!(
            "mattermost['env'] = {{ 'HTTP_PROXY' => 'http://p:1' }}\n\
             mattermost['env'] = mattermost['env'].merge({more})\n"
        ));
        for name in ["HTTP_PROXY", "NO_PROXY"] {
            converted(&import, &format!("mattermost['env']['{name}']"));
        }
    }
    // A later unknown value may contain the earlier value.
    let (_, import) = alone(
        "mattermost['env'] = { 'HTTP_PROXY' => 'http://p:1' }\nmattermost['env'] = YAML.load(x)\n",
    );
    let why = for_a_person(&import, "mattermost['env']");
    assert!(why.contains("line 4 says it again"), "{why}");
}

#[test]
fn no_secret_is_told_whatever_it_looks_like() {
    let (machine, import) = alone(
        "mattermost['env'] = { 'MM_EMAILSETTINGS_SMTPPASSWORD' => '20231224',\n\
         'MM_FILESETTINGS_AMAZONS3SECRETACCESSKEY' => '/q3V8xkexample',\n\
         'MM_LDAPSETTINGS_BINDPASSWORD' => 'true' }\n\
         mattermost['email_smtp_password'] = File.read('/x') + '/hunter2slash'\n\
         m = { 'gitlab_secret' => 'hunter2alias' }\nm['gitlab_secret'] = 'hunter2local'\n\
         foo['gitlab_secret'] = 'hunter2foo'\n",
    );
    let told = format!("{:?}{}", import.report, import.site);
    for secret in [
        "20231224",
        "/q3V8xkexample",
        "hunter2",
        "BINDPASSWORD = \"true\"",
    ] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    let secrets = machine.secrets_file();
    for secret in [
        "20231224",
        "/q3V8xkexample",
        "MM_LDAPSETTINGS_BINDPASSWORD = \"true\"",
    ] {
        assert!(secrets.contains(secret), "{secret} not in {secrets}");
    }
    // Without an output nothing is written, and the printed site file has no secret either.
    let mut dry = Machine::new(&format!("{ALONE}mattermost['gitlab_secret'] = '4711'\n"));
    dry.request.output = None;
    assert!(!dry.imported().site.contains("4711"));
}

#[test]
fn what_restricted_something_closes_it_when_it_is_not_taken_over() {
    let (machine, import) = alone(
        "postgresql['listen_address'] = '0.0.0.0'\npostgresql['hostssl'] = true\n\
         postgresql['md5_auth_cidr_addresses'] = ['10.0.0.0/8']\n",
    );
    for_a_person(&import, "postgresql['hostssl']");
    let why = for_a_person(&import, "postgresql.listen_address");
    assert!(why.contains("does not listen"), "{why}");
    assert!(
        !machine
            .site()
            .lines()
            .any(|it| it.starts_with("postgresql.listen_address"))
    );
    // An unknown value may be a restriction, too.
    let (machine, _) = alone(
        "postgresql['listen_address'] = '0.0.0.0'\npostgresql['hostssl'] = ENV['TLS'] == 'yes'\n\
         mattermost_nginx['ssl_verify_client'] = ENV['VERIFY']\n",
    );
    let site = machine.site();
    assert!(
        !site
            .lines()
            .any(|it| it.starts_with("postgresql.listen_address")),
        "{site}"
    );
    assert!(
        site.contains("mattermost_nginx.listen_addresses = [\"127.0.0.1\", \"[::1]\"]"),
        "{site}"
    );
    machine.plan();
}

#[test]
fn lines_of_pg_hba_in_the_form_of_omnibus() {
    let (machine, import) = alone(
        "postgresql['custom_pg_hba_entries'] = { APPLICATION: [\n\
         { type: 'hostssl', database: 'mm', user: 'bi', cidr: '10.1.0.0/16', method: 'scram-sha-256', option: '' },\n\
         { type: 'local', database: 'all', user: 'all', method: 'peer', option: 'map=x' } ] }\n",
    );
    converted(&import, "postgresql['custom_pg_hba_entries']");
    let site = machine.site();
    for wanted in [
        "\"hostssl mm bi 10.1.0.0/16 scram-sha-256\"",
        "\"local all all peer map=x\"",
    ] {
        assert!(site.contains(wanted), "{wanted} not in {site}");
    }
    let (_, import) = alone("postgresql['custom_pg_hba_entries'] = { X: [ { typo: 'host' } ] }\n");
    let why = for_a_person(&import, "postgresql['custom_pg_hba_entries']");
    assert!(why.contains("`typo`"), "{why}");
}

#[test]
fn the_file_of_the_package_is_known_by_any_spelling() {
    let mut machine = Machine::new("");
    machine.put("etc/gitlab/gitlab.rb", ALONE);
    machine.put("opt/gitlab/etc/mattermost/env/HTTP_PROXY", "http://p:1\n");
    machine.request.file = machine.path("etc/../etc/gitlab/./gitlab.rb");
    let import = machine.imported();
    assert!(import.site.contains("http://p:1"), "{}", import.site);
    assert!(line(&import, "HTTP_PROXY").text.is_empty());
}

#[test]
fn line_ends_of_windows_are_no_part_of_a_text() {
    let (machine, import) = alone(
        "mattermost_nginx['custom_gitlab_mattermost_server_config'] = <<-EOS\r\n  deny all;\r\nEOS\r\n\
         mattermost['service_port'] = 8066\r\n",
    );
    converted(&import, "mattermost['service_port']");
    assert!(!machine.site().contains('\r'), "{}", machine.site());
}
