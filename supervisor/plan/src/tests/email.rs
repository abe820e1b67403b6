//! Remarks of the catalogue on mail settings with which nothing could be sent.

use super::catalogue::shipped;
use crate::Problems;

/// Settings that a mail server accepts.
const GOOD: &str = "SMTPSERVER = 'mail.example.com'\nSMTPPORT = 587\nCONNECTIONSECURITY = 'STARTTLS'\n\
    ENABLESMTPAUTH = true\nSMTPUSERNAME = 'chat'\nSMTPPASSWORD = 'hunter2'\n\
    FEEDBACKEMAIL = 'chat@example.com'\nSENDEMAILNOTIFICATIONS = true\n\
    ENABLEEMAILBATCHING = true\n";

/// Remarks on these variables for a site with an address.
fn said(variables: &str) -> String {
    said_of(
        "mattermost_external_url = 'http://chat.example.com'\n",
        variables,
    )
}

fn said_of(site: &str, variables: &str) -> String {
    let lines = variables.lines().map(|line| {
        let other = line.starts_with("MM_");
        let prefix = if other { "" } else { "MM_EMAILSETTINGS_" };
        format!("mattermost.env.{prefix}{line}\n")
    });
    let mut machine = shipped(&format!("{site}{}", lines.collect::<String>()));
    machine.mode("/etc/mattervisor/mattervisor.toml", 0o600);
    match machine.load() {
        Ok(plan) => Problems(plan.remarks).to_string(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn what_can_be_sent_is_not_remarked_upon() {
    assert_eq!(said(GOOD), "");
    let here = "SMTPSERVER = '127.0.0.1'\nSMTPPORT = 25\nFEEDBACKEMAIL = 'chat@example.com'\n\
        SENDEMAILNOTIFICATIONS = true\n";
    assert_eq!(said(here), "");
    let tls = GOOD.replace("587", "465").replace("STARTTLS", "TLS");
    assert_eq!(said(&tls), "");
    // Everything is set in the System Console instead.
    assert_eq!(said("EMAILBATCHINGINTERVAL = 60"), "");
    // Switched off by a word that Go reads as false.
    assert_eq!(said("ENABLESMTPAUTH = 'F'"), "");
}

/// Each site file of docs/email.md, as printed there except for HTTPS.
#[test]
fn what_the_document_says_is_not_remarked_upon() {
    let document = include_str!("../../../../docs/email.md").replace("https://", "http://");
    let blocks = document.split("```toml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let sites: Vec<&str> = blocks.filter(|it| it.contains("SMTPSERVER")).collect();
    assert_eq!(sites.len(), 2);
    for site in sites {
        assert_eq!(shipped(site).remarks(), "", "{site}");
    }
}

/// Each case: a part of the good settings, its replacement, the words of the remark, and the
/// variable whose line the remark names.
const CASES: [(&str, &str, &str, &str); 13] = [
    ("587", "465", "TLS from the first byte", "SMTPPORT"),
    (
        "'STARTTLS'",
        "'TLS'",
        "begins in plain text on port 587",
        "CONNECTIONSECURITY",
    ),
    ("587", "993", "mail is read on port 993", "SMTPPORT"),
    ("'mail.", "'smtp://mail.", "more than a host", "SMTPSERVER"),
    (
        "mail.example.com",
        "mail.example.com:587",
        "more than a host",
        "SMTPSERVER",
    ),
    (
        "SMTPPORT = 587\n",
        "",
        "not its port: nothing can be sent unless config.json has it",
        "SMTPSERVER",
    ),
    (
        "NOTIFICATIONS = true",
        "NOTIFICATIONS = false",
        "nobody is notified by mail\n",
        "SMTPSERVER",
    ),
    (
        "SENDEMAILNOTIFICATIONS = true\n",
        "",
        "nobody is notified by mail unless config.json says so",
        "SMTPSERVER",
    ),
    (
        "FEEDBACKEMAIL = 'chat@example.com'\n",
        "",
        "no sender unless config.json has one",
        "SMTPSERVER",
    ),
    (
        "ENABLESMTPAUTH = true\n",
        "",
        "not sign in at the mail server unless config.json says so",
        "SMTPUSERNAME",
    ),
    (
        "AUTH = true",
        "AUTH = 'false'",
        "does not sign in at the mail server\n",
        "SMTPUSERNAME",
    ),
    (
        "CONNECTIONSECURITY = 'STARTTLS'\n",
        "",
        "over TLS alone",
        "ENABLESMTPAUTH",
    ),
    ("'STARTTLS'", "'PLAIN'", "over TLS alone", "ENABLESMTPAUTH"),
];

#[test]
fn what_cannot_be_sent_is_told_where_it_is_written() {
    for (good, bad, words, variable) in CASES {
        let variables = GOOD.replace(good, bad);
        assert_ne!(variables, GOOD, "{good}");
        let said = said(&variables);
        let place = format!(": warning: mattermost.env.MM_EMAILSETTINGS_{variable}: ");
        assert!(said.contains(words), "{words}:\n{variables}\n{said}");
        assert!(said.contains(&place), "{place}:\n{said}");
        assert_eq!(said.matches(": warning: ").count(), 1, "{said}");
        assert!(
            said.contains("hint: ") && !said.contains("hunter2"),
            "{said}"
        );
    }
}

/// Mattermost does not start with these settings.
#[test]
fn batching_needs_one_server_with_an_address() {
    let cluster = said("ENABLEEMAILBATCHING = true\nMM_CLUSTERSETTINGS_ENABLE = true\n");
    let place = ": error: mattermost.env.MM_EMAILSETTINGS_ENABLEEMAILBATCHING: ";
    assert!(
        cluster.contains(place) && cluster.contains("cluster"),
        "{cluster}"
    );
    let alone = "mattermost.enable = true\n";
    let nowhere = said_of(alone, "ENABLEEMAILBATCHING = true");
    assert!(
        nowhere.contains("without a site URL, unless config.json has one"),
        "{nowhere}"
    );
    let elsewhere = format!("{alone}mattermost.service_site_url = 'http://chat.example.com'\n");
    let said = said_of(&elsewhere, "ENABLEEMAILBATCHING = true");
    assert_eq!(said, "");
}

/// The password is a secret: a file that others can read may not contain it, and nothing shows it.
#[test]
fn the_password_is_a_secret() {
    let site = "mattermost_external_url = 'http://chat.example.com'\n\
        mattermost.env.MM_EMAILSETTINGS_SMTPPASSWORD = 'hunter2'\n";
    let mut open = shipped(site);
    open.mode("/etc/mattervisor/mattervisor.toml", 0o644);
    let open = open.errors();
    assert!(open.contains("MM_EMAILSETTINGS_SMTPPASSWORD"), "{open}");
    assert!(
        open.contains("chmod 600") && !open.contains("hunter2"),
        "{open}"
    );
    let mut machine = shipped(
        "mattermost_external_url = 'http://chat.example.com'\n\
         [mattermost.env]\nMM_EMAILSETTINGS_FEEDBACKNAME = 'Chat'\n",
    );
    machine.secrets("[mattermost.env]\nMM_EMAILSETTINGS_SMTPPASSWORD = 'hunter2'\n");
    let plan = machine.plan();
    let env = &plan.services["mattermost"].env;
    assert!(env["MM_EMAILSETTINGS_SMTPPASSWORD"].secret);
    assert_eq!(env["MM_EMAILSETTINGS_FEEDBACKNAME"].value, "Chat");
}
