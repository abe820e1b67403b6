//! The catalogue's table of variables, compared with the behaviour of released servers.

use super::catalogue::shipped;
use crate::Problems;

/// Messages about one variable if this version is installed.
fn said(version: &str, name: &str, value: &str) -> String {
    let value = toml::Value::from(value);
    let machine = shipped(&format!(
        "mattermost_external_url = \"http://chat.example.com\"\nmattermost.version = \"{version}\"\n\
         mattermost.env.{name} = {value}\n"
    ));
    match machine.load() {
        Ok(plan) => Problems(plan.remarks).to_string(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn what_released_servers_die_of_is_an_error_and_the_value_beside_it_is_not() {
    for (name, bad, good) in [
        (
            "MM_SERVICESETTINGS_SITEURL",
            "chat.example.com",
            "https://chat.example.com",
        ),
        ("MM_SERVICESETTINGS_LISTENADDRESS", "", ":8065"),
        ("MM_SERVICESETTINGS_CONNECTIONSECURITY", "tls", "TLS"),
        ("MM_SERVICESETTINGS_CONNECTIONSECURITY", "SSL", ""),
        ("MM_SERVICESETTINGS_READTIMEOUT", "0", "1"),
        ("MM_SERVICESETTINGS_MAXIMUMLOGINATTEMPTS", "0", "10"),
        (
            "MM_SERVICESETTINGS_WEBSOCKETURL",
            "foo",
            "wss://chat.example.com",
        ),
        ("MM_SERVICESETTINGS_COLLAPSEDTHREADS", "on", "default_on"),
        ("MM_SQLSETTINGS_DRIVERNAME", "postgresql", "postgres"),
        ("MM_SQLSETTINGS_DATASOURCE", "", "postgres://x"),
        ("MM_SQLSETTINGS_MAXIDLECONNS", "-1", "0"),
        ("MM_SQLSETTINGS_MAXOPENCONNS", "0", "1"),
        ("MM_SQLSETTINGS_QUERYTIMEOUT", "0", "1"),
        (
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            "short",
            "12345678901234567890123456789012",
        ),
        ("MM_FILESETTINGS_MAXFILESIZE", "0", "1"),
        (
            "MM_FILESETTINGS_PUBLICLINKSALT",
            "short",
            "12345678901234567890123456789012",
        ),
        ("MM_RATELIMITSETTINGS_PERSEC", "0", "10"),
        ("MM_RATELIMITSETTINGS_MEMORYSTORESIZE", "0", "10"),
        ("MM_EMAILSETTINGS_CONNECTIONSECURITY", "SSL", "STARTTLS"),
        ("MM_EMAILSETTINGS_EMAILBATCHINGBUFFERSIZE", "0", "256"),
        ("MM_EMAILSETTINGS_EMAILBATCHINGINTERVAL", "5", "30"),
        ("MM_TEAMSETTINGS_MAXUSERSPERTEAM", "0", "1"),
        (
            "MM_TEAMSETTINGS_TEAMMATENAMEDISPLAY",
            "fullname",
            "full_name",
        ),
        ("MM_TEAMSETTINGS_RESTRICTDIRECTMESSAGE", "none", "team"),
        ("MM_PASSWORDSETTINGS_MINIMUMLENGTH", "3", "8"),
        ("MM_LDAPSETTINGS_SYNCINTERVALMINUTES", "0", "60"),
        (
            "MM_DATARETENTIONSETTINGS_DELETIONJOBSTARTTIME",
            "25:99",
            "02:00",
        ),
    ] {
        for version in ["5.36.1", "7.6.0"] {
            let told = said(version, name, bad);
            assert!(
                told.contains("error: ") && told.contains("and the program refuses to start"),
                "{version} {name}={bad}: {told}"
            );
            let told = said(version, name, good);
            assert!(!told.contains("error: "), "{version} {name}={good}: {told}");
        }
    }
}

/// The value `{bad`, with which some versions start and others do not. A version ignores a variable
/// that it does not have.
#[test]
fn what_a_version_starts_with_is_no_error() {
    let config = "MM_LOGSETTINGS_ADVANCEDLOGGINGCONFIG";
    let json = "MM_LOGSETTINGS_ADVANCEDLOGGINGJSON";
    let audit = "MM_EXPERIMENTALAUDITSETTINGS_ADVANCEDLOGGINGCONFIG";
    for (name, version, dies, has) in [
        (config, "5.36.1", false, true),
        (config, "7.6.0", true, true),
        (config, "11.6.0", false, false),
        (json, "5.36.1", false, false),
        (json, "7.6.0", false, false),
        (json, "11.6.0", true, true),
        (audit, "5.36.1", false, true),
        (audit, "7.6.0", false, true),
    ] {
        let told = said(version, name, "{bad");
        assert_eq!(told.contains("error: "), dies, "{version} {name}: {told}");
        assert_eq!(
            !told.contains("has no effect"),
            has,
            "{version} {name}: {told}"
        );
        if !has {
            assert!(!told.contains("JSON object"), "{version} {name}: {told}");
        }
    }
}
