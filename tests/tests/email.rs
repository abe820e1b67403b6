//! docs/email.md against a real mail server, Postfix, with the stand-in as Mattermost: the
//! documented settings send mail, and each failure shows up where the document says.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use mattervisor_tests::{ACCOUNT, Postfix, eventually, http_post, need, nginx, postgres};
use serde_json::Value;

use crate::stack::Stack;

/// The token of the administrator's session.
const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz";
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/email.md");

/// The TOML blocks of the document, in order.
const SUBMISSION: usize = 0;
const PASSWORD: usize = 1;
const SENDMAIL: usize = 2;

/// Names without `MM_EMAILSETTINGS_`, and values, of variables.
type Settings = Vec<(String, String)>;

/// A variable and its new value.
type Change<'c> = (&'c str, &'c str);

/// A stack with an administrator, and the mail server that it uses.
struct Office {
    stack: Stack,
    mail: Postfix,
    /// The site file without any settings for mail.
    site_file: String,
}

impl Office {
    /// A running stack without settings for mail.
    fn open(bin: PathBuf, mail: Postfix) -> Self {
        let authority = mail.authority().display().to_string();
        let mut stack = Stack::new(
            bin,
            &format!(
                "STANDIN_STOP_MS = '100', STANDIN_BATCH_MS = '5000', SSL_CERT_FILE = '{authority}'"
            ),
        );
        let file = stack.site.path("etc/mattervisor/mattervisor.toml");
        let site_file = fs::read_to_string(file).unwrap();
        stack.start();
        let office = Self {
            stack,
            mail,
            site_file,
        };
        for (name, roles) in [("admin", &["--system-admin"][..]), ("ada", &[])] {
            let email = format!("{name}@example.com");
            let mut words = vec!["mmctl", "--local", "user", "create", "--email", &email];
            words.extend(["--username", name, "--password", "Correct-horse-1"]);
            words.extend(roles);
            office.stack.site.ctl(&words).ok();
        }
        let session = format!(
            "insert into sessions (token, user_id) select '{TOKEN}', id from users where username = 'admin'"
        );
        office.stack.site.ctl(&["psql", "-qc", &session]).ok();
        office
    }

    /// Settings as they stand in a block of the document, for this mail server.
    fn documented(&self, block: usize) -> Settings {
        let text = fs::read_to_string(DOCUMENT).unwrap();
        let blocks = text.split("```toml\n").skip(1);
        let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
        let block = blocks.nth(block).expect("the document has the block");
        let lines = block.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("MM_EMAILSETTINGS_")?.split_once(" = ")?;
            Some((name.to_owned(), self.here(value)))
        });
        lines.collect()
    }

    /// A value with the hosts and ports of this test.
    fn here(&self, value: &str) -> String {
        match value {
            "587" => self.mail.submission.to_string(),
            "465" => self.mail.tls.to_string(),
            "25" => self.mail.plain.to_string(),
            other => other.replace("mail.example.com", "localhost"),
        }
    }

    /// Applies these settings and no others, and returns the output of the reconfigure. No output
    /// may contain the password.
    fn set(&self, settings: &Settings) -> String {
        // A mail server of a busy machine may take its time.
        let longer = [("SMTPSERVERTIMEOUT".to_owned(), "60".to_owned())];
        let given = settings.iter().any(|(name, _)| *name == longer[0].0);
        let more = longer.iter().filter(|_| !given);
        let lines = settings.iter().chain(more).map(|(name, value)| {
            let value = value.trim_matches('"');
            format!("MM_EMAILSETTINGS_{name} = '{value}', ")
        });
        let env = format!("mattermost.env = {{ {}", lines.collect::<String>());
        let site = &self.stack.site;
        site.site_file(&self.site_file.replace("mattermost.env = { ", &env));
        let file = site.path("etc/mattervisor/mattervisor.toml");
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        let rehearsed = site.ctl(&["reconfigure", "--dry-run"]).ok().both();
        let differs = site.ctl(&["diff-config"]).expect_code(1).both();
        let told = site.ctl(&["reconfigure"]).ok().both();
        for said in [rehearsed, differs, told.clone()] {
            assert!(!said.contains(ACCOUNT.1), "{said}");
        }
        told
    }

    /// Runs the mail test of the System Console, and returns its HTTP status and message.
    fn test(&self) -> (u16, String) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = agent.build().new_agent();
        let url = format!(
            "http://127.0.0.1:{}/api/v4/email/test",
            self.stack.nginx_port
        );
        let asked = agent
            .post(url)
            .header("Authorization", format!("Bearer {TOKEN}"));
        let mut answer = asked.send_empty().unwrap();
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string().unwrap();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (
            status,
            body["message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    fn post(&self, message: &str) {
        let body = serde_json::json!({ "message": message }).to_string();
        let (status, said) =
            http_post(self.stack.nginx_port, "/api/v4/posts", body.as_bytes()).unwrap();
        assert_eq!(status, 201, "{said}");
    }

    /// Waits until `ctl logs mattermost` has a line with this message and these words.
    fn wait_logged(&self, message: &str, words: &str) -> String {
        let arguments = ["logs", "mattermost", "-n", "all", "--grep", message];
        eventually(&format!("{message}: {words}"), || {
            let told = self.stack.site.ctl(&arguments).ok().stdout;
            let line = told.lines().find(|line| line.contains(words));
            line.map(str::to_owned)
        })
    }
}

/// Each way that the document names gets mail to the server, and from there into the inbox.
#[test]
fn what_the_document_says_sends_mail() {
    let bin = need!(postgres());
    need!(nginx());
    let office = Office::open(bin, need!(Postfix::start()));
    let (status, said) = office.test();
    assert_eq!((status, said.as_str()), (400, "SMTP Server is required"));
    let password = office.documented(PASSWORD);
    let signed_in = [office.documented(SUBMISSION), password].concat();
    let said = office.set(&signed_in);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(office.test(), (200, String::new()));
    let mail = office
        .mail
        .wait_mail("Subject: Mattermost - Testing Email Settings");
    for line in [
        "Return-Path: <chat@example.com>\n",
        "From: \"Example Chat\" <chat@example.com>\n",
        "To: admin@example.com\n",
        "Reply-To: <chat@example.com>\n",
        "Authenticated sender: chat@example.com",
        "using TLSv1.3",
    ] {
        assert!(mail.contains(line), "{line}: {mail}");
    }
    office.post("@ada: it works");
    let mail = office.mail.wait_mail("To: ada@example.com\n");
    assert!(
        mail.contains("] Notification on ") && mail.contains("it works"),
        "{mail}"
    );

    // TLS from the first byte, and a server that offers only LOGIN.
    let port = office.here("465");
    let tls = [("SMTPPORT", port.as_str()), ("CONNECTIONSECURITY", "TLS")];
    office.set(&with(signed_in, &tls));
    office.post("@ada over TLS");
    let mail = office.mail.wait_mail("@ada over TLS");
    assert!(
        mail.contains("Authenticated sender: chat@example.com"),
        "{mail}"
    );

    // The machine's own mail server, without a password.
    let said = office.set(&office.documented(SENDMAIL));
    assert!(!said.contains("warning"), "{said}");
    office.post("@ada by sendmail");
    let mail = office.mail.wait_mail("@ada by sendmail");
    assert!(
        !mail.contains("using TLS") && !mail.contains("Authenticated"),
        "{mail}"
    );
    let log = office
        .stack
        .site
        .ctl(&["logs", "mattermost", "-n", "all"])
        .ok()
        .stdout;
    assert!(
        !log.contains("ail server connection test") && !log.contains("while sending"),
        "{log}"
    );
    assert!(!log.contains(ACCOUNT.1), "{log}");
}

/// The server's error message is in the answer to the test and in the log, as the document quotes
/// it.
#[test]
fn what_goes_wrong_is_told() {
    let bin = need!(postgres());
    need!(nginx());
    let office = Office::open(bin, need!(Postfix::start()));
    let password = office.documented(PASSWORD);
    let good = [office.documented(SUBMISSION), password].concat();
    let (plain, tls) = (office.here("25"), office.here("465"));
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let at_plain = [("SMTPPORT", plain.as_str())];
    let at_tls = [("SMTPPORT", tls.as_str()), ("SMTPSERVERTIMEOUT", "1")];
    let by_address = [
        ("SMTPSERVER", "127.0.0.1"),
        ("SMTPPORT", &tls),
        ("CONNECTIONSECURITY", "TLS"),
    ];
    let cases: [(&[Change<'_>], &str, &str); 6] = [
        (
            &[("SMTPPASSWORD", "hunter3")],
            "authentication failed: 535 ",
            "5.7.8 Error: authentication failed",
        ),
        (
            &at_plain,
            "authentication failed: unencrypted connection",
            "",
        ),
        (
            &by_address,
            "x509: cannot validate certificate for ",
            "127.0.0.1 because it doesn't contain any IP SANs",
        ),
        (
            &[("CONNECTIONSECURITY", "TLS")],
            "first record does not look like a TLS handshake",
            "",
        ),
        (&at_tls, "context deadline exceeded", ""),
        (
            &[("FEEDBACKEMAIL", "eve@example.com")],
            "failed to set the to address: 5",
            "53 5.7.1 <eve@example.com>: Sender address rejected: not owned by user chat@example.com",
        ),
    ];
    for (changes, documented, more) in cases {
        let words = &format!("{documented}{more}");
        assert!(document.contains(documented), "{documented}");
        office.set(&with(good.clone(), changes));
        let (status, said) = office.test();
        assert_eq!(status, 500, "{said}");
        assert!(said.contains(words), "{words}: {said}");
        let at_start = changes[0].0 != "FEEDBACKEMAIL";
        if at_start {
            office.wait_logged("Mail server connection test failed", words);
        }
        office.post("@ada: hello");
        let logged = office.wait_logged("Error while sending the email", words);
        assert!(
            logged.contains("ada@example.com") && !logged.contains("hunter"),
            "{logged}"
        );
    }
    assert_eq!(office.mail.inbox(), Vec::<String>::new());
}

/// Mattermost rejects a certificate of an unknown authority, unless the settings tell it to verify
/// no certificate.
#[test]
fn certificates_are_looked_at_unless_they_are_not() {
    let bin = need!(postgres());
    need!(nginx());
    let mut office = Office::open(bin, need!(Postfix::start()));
    let password = office.documented(PASSWORD);
    let settings = [office.documented(SUBMISSION), password].concat();
    office.site_file = office
        .site_file
        .replace("SSL_CERT_FILE", "NOT_SSL_CERT_FILE");
    office.set(&settings);
    let (status, said) = office.test();
    let why = "x509: certificate signed by unknown authority";
    assert!(status == 500 && said.contains(why), "{said}");
    // The failed handshake shows up as a failure of the next step, the authentication.
    assert!(said.contains("authentication failed: tls: "), "{said}");
    office.set(&with(
        settings,
        &[("SKIPSERVERCERTIFICATEVERIFICATION", "true")],
    ));
    assert_eq!(office.test(), (200, String::new()));
    office.mail.wait_mail("To: admin@example.com\n");
}

/// Without a password Mattermost sends mail unencrypted to a server that offers no STARTTLS.
#[test]
fn starttls_is_not_enforced() {
    let bin = need!(postgres());
    need!(nginx());
    let office = Office::open(bin, need!(Postfix::start()));
    let settings = office.documented(SENDMAIL);
    office.set(&with(settings, &[("CONNECTIONSECURITY", "STARTTLS")]));
    assert_eq!(office.test(), (200, String::new()));
    let mail = office.mail.wait_mail("To: admin@example.com\n");
    assert!(!mail.contains("using TLS"), "{mail}");
}

/// Several mentions within one interval arrive as one mail.
#[test]
fn batched_notifications_are_one_mail() {
    let bin = need!(postgres());
    need!(nginx());
    let office = Office::open(bin, need!(Postfix::start()));
    let batching = [("ENABLEEMAILBATCHING", "true")];
    office.set(&with(office.documented(SENDMAIL), &batching));
    office.post("@ada: the first");
    office.post("@ada: the second");
    office.post("nobody in particular");
    let mail = office.mail.wait_mail("To: ada@example.com\n");
    assert!(mail.contains("] New Notifications for "), "{mail}");
    assert!(
        mail.contains("the first") && mail.contains("the second"),
        "{mail}"
    );
    assert_eq!(office.mail.inbox().len(), 1);
}

fn with(mut settings: Settings, changes: &[Change<'_>]) -> Settings {
    for (name, value) in changes {
        settings.retain(|(known, _)| known != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    settings
}
