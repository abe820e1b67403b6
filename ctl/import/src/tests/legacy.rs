//! Every key of the settings style before GitLab 11.0.

use std::fmt::Write as _;

use super::{converted, imported, line, not_needed};
use crate::report::Disposition;

const ROWS: &str = include_str!("../fixtures/legacy.tsv");

/// Keys in the spelling of GitLab's document, with the spelling of its template.
const SPELLINGS: [(&str, &str); 2] = [
    (
        "ratelimit_enable_ratelimiter",
        "ratelimit_enable_rate_limiter",
    ),
    (
        "webrtc_gateway_turn_sharedkey",
        "webrtc_gateway_turn_shared_key",
    ),
];

/// Key, variable, and the last version that had the key.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let lines = ROWS.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().expect("three fields");
        (next(), next(), next())
    });
    let mut rows: Vec<_> = rows.collect();
    for (document, template) in SPELLINGS {
        let row = rows.iter().find(|it| it.0 == template).copied();
        rows.extend(row.map(|(_, variable, last)| (document, variable, last)));
    }
    rows
}

/// A valid value of the setting, in Ruby and as a variable.
fn value(key: &str, variable: &str) -> (&'static str, &'static str) {
    match key {
        "service_address" => ("'127.0.0.3'", "127.0.0.3:8070"),
        "service_port" => ("'8070'", "127.0.0.3:8070"),
        "sql_driver_name" => ("'postgres'", "postgres"),
        "sql_data_source" => ("'postgres://a:b@c/d'", "postgres://a:b@c/d"),
        "service_connection_security" | "email_connection_security" => ("'TLS'", "TLS"),
        "team_restrict_direct_message" => ("'team'", "team"),
        "team_teammate_name_display" => ("'full_name'", "full_name"),
        "email_batching_interval" => ("30", "30"),
        "email_notification_content_type" => ("'full'", "full"),
        "file_public_link_salt" => (
            "'0123456789abcdef0123456789abcdef'",
            "0123456789abcdef0123456789abcdef",
        ),
        "plugin_plugins" | "plugin_plugin_states" => {
            ("{ 'a' => { 'b' => 1 } }", "{\"a\":{\"b\":1}}")
        }
        _ if variable.contains("ENABLE") || key.contains("enable") => ("true", "true"),
        _ if variable.ends_with("URL") || variable.ends_with("ENDPOINT") => {
            ("'http://x.example.com/y'", "http://x.example.com/y")
        }
        _ if variable.ends_with("DIRECTORY") || variable.ends_with("FILELOCATION") => {
            ("'/srv/x'", "/srv/x")
        }
        _ if variable.ends_with("TRACE") => ("true", "true"),
        _ if variable.ends_with("ATRESTENCRYPTKEY") => (
            "'0123456789abcdef0123456789abcdef'",
            "0123456789abcdef0123456789abcdef",
        ),
        _ => ("12", "12"),
    }
}

/// Imports all of these keys at once, and checks the variable of each.
fn hold(rows: &[(&str, &str, &str)]) {
    let mut ruby = String::from(
        "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n",
    );
    for (key, variable, _) in rows {
        let _ = writeln!(ruby, "mattermost['{key}'] = {}", value(key, variable).0);
    }
    let (machine, import) = imported(&ruby);
    let plan = machine.plan();
    for (key, variable, last) in rows {
        let what = format!("mattermost['{key}']");
        if *last == "current" {
            converted(&import, &what);
            let found = plan.services["mattermost"].env.get(variable);
            let found = found.map(|it| it.value.as_str());
            let wanted = value(key, variable).1;
            assert_eq!(found, Some(wanted), "{key}\n{}", machine.site());
        } else {
            let why = not_needed(&import, &what);
            assert!(why.contains(variable) && why.contains(last), "{key}: {why}");
            let comment = format!("# mattermost.env.{variable} = ");
            assert!(
                machine.site().contains(&comment),
                "{key}\n{}",
                machine.site()
            );
        }
    }
}

#[test]
fn every_key_becomes_the_variable_that_mattermost_has_for_it() {
    let rows = rows();
    let (template, document) = rows.split_at(rows.len() - SPELLINGS.len());
    assert_eq!((template.len(), document.len()), (166, 2));
    hold(template);
    hold(document);
}

/// Both halves of the example in GitLab's document, old style and new, give the same environment.
#[test]
fn the_example_of_the_document() {
    let old = "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n\
        mattermost['service_maximum_login_attempts'] = 10\n\
        mattermost['team_teammate_name_display'] = \"full_name\"\n\
        mattermost['sql_max_idle_conns'] = 10\n\
        mattermost['log_file_level'] = 'INFO'\n\
        mattermost['email_batching_interval'] = 30\n\
        mattermost['file_enable_file_attachments'] = true\n\
        mattermost['ratelimit_memory_store_size'] = 10000\n\
        mattermost['support_terms_of_service_link'] = \"/static/help/terms.html\"\n\
        mattermost['privacy_show_email_address'] = true\n\
        mattermost['localization_available_locales'] = \"en,es,fr,ja,pt-BR\"\n\
        mattermost['webrtc_enable'] = false\n";
    let new = "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n\
        mattermost['env'] = {\n\
        'MM_SERVICESETTINGS_MAXIMUMLOGINATTEMPTS' => '10',\n\
        'MM_TEAMSETTINGS_TEAMMATENAMEDISPLAY' => 'full_name',\n\
        'MM_SQLSETTINGS_MAXIDLECONNS' => '10',\n\
        'MM_LOGSETTINGS_FILELEVEL' => 'INFO',\n\
        'MM_EMAILSETTINGS_BATCHINGINTERVAL' => '30',\n\
        'MM_FILESETTINGS_ENABLEFILEATTACHMENTS' => 'true',\n\
        'MM_RATELIMITSETTINGS_MEMORYSTORESIZE' => '10000',\n\
        'MM_SUPPORTSETTINGS_TERMSOFSERVICELINK' => '/static/help/terms.html',\n\
        'MM_PRIVACYSETTINGS_SHOWEMAILADDRESS' => 'true',\n\
        'MM_LOCALIZATIONSETTINGS_AVAILABLELOCALES' => 'en,es,fr,ja,pt-BR'\n}\n";
    let environment = |ruby: &str| {
        let (machine, import) = imported(ruby);
        let plan = machine.plan();
        let variables = plan.services["mattermost"].env.iter();
        let own = variables.filter(|(name, _)| !name.contains("ATRESTENCRYPTKEY"));
        let own = own.map(|(name, it)| {
            (
                name.clone(),
                it.value.replace(machine.dir.path().to_str().unwrap(), ""),
            )
        });
        (own.collect::<Vec<_>>(), import)
    };
    let (old, import) = environment(old);
    assert!(
        line(&import, "mattermost['email_batching_interval']")
            .remark
            .as_deref()
            .is_some_and(|it| it.contains("MM_EMAILSETTINGS_BATCHINGINTERVAL"))
    );
    let (new, import) = environment(new);
    assert_eq!(old, new);
    let wrong = "mattermost['env']['MM_EMAILSETTINGS_BATCHINGINTERVAL']";
    assert_eq!(
        converted(&import, wrong),
        ["mattermost.env.MM_EMAILSETTINGS_EMAILBATCHINGINTERVAL"]
    );
    assert!(line(&import, wrong).remark.is_some());
    assert!(matches!(
        line(&import, wrong).fate,
        Disposition::Converted(_)
    ));
}

/// The variable wins over keys before and after it: an outdated secret must not take the place of
/// the secret in use.
#[test]
fn a_variable_of_the_hash_counts_more_than_a_key_of_old() {
    let (machine, import) = imported(
        "mattermost_external_url 'http://m.example.com'\ngitlab_rails['enable'] = false\n\
        mattermost['email_smtp_password'] = 'before'\n\
        mattermost['env'] = { 'MM_EMAILSETTINGS_SMTPPASSWORD' => 'in use' }\n\
        mattermost['email_smtp_password'] = 'behind'\n",
    );
    let why = not_needed(&import, "mattermost['email_smtp_password']");
    assert!(why.contains("counts"), "{why}");
    let plan = machine.plan();
    let variable = &plan.services["mattermost"].env["MM_EMAILSETTINGS_SMTPPASSWORD"];
    assert_eq!(variable.value, "in use");
}
