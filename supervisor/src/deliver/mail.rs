//! A mail by `sendmail -t -i`, which every mail system brings.

use std::{
    env,
    ffi::{CString, OsString},
    fmt::Write as _,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::Message;

/// Where mail systems put `sendmail`.
const PLACES: [&str; 3] = [
    "/usr/sbin/sendmail",
    "/usr/lib/sendmail",
    "/usr/bin/sendmail",
];
/// Another program that is called like it, for hosts that have it elsewhere.
const VARIABLE: &str = "MATTERVISOR_SENDMAIL";
/// Longest text; the whole mail fits into a pipe.
const TEXT_CHARACTERS_MAX: usize = 3000;
/// Bytes of an encoded word, before its encoding, so that no line is longer than 76.
const WORD_BYTES: usize = 42;

/// Becomes `sendmail`, with the mail as its standard input; returns only if that fails.
pub(super) fn send(to: &[String], from: Option<&str>, message: &Message) -> Result<(), String> {
    let program = program()?;
    let mail = compose(to, from, message);
    let failed = |what: &'static str| move |error: nix::Error| format!("cannot {what}: {error}");
    let (reader, writer) = nix::unistd::pipe().map_err(failed("make a pipe"))?;
    // A message is shorter than a pipe holds, so this does not wait for a reader.
    let written = nix::unistd::write(&writer, mail.as_bytes()).map_err(failed("write the mail"))?;
    if written < mail.len() {
        return Err("the mail is too long".to_owned());
    }
    drop(writer);
    nix::unistd::dup2_stdin(&reader).map_err(failed("pass the mail on"))?;
    drop(reader);
    let path = CString::new(program.clone().into_os_string().into_vec());
    let path = path.map_err(|_| "its path has a NUL".to_owned())?;
    let words = [c"sendmail", c"-t", c"-i"];
    // Its own environment: ours holds what was to be told.
    let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    match nix::unistd::execve(&path, &words, &environment) {
        Ok(never) => match never {},
        Err(error) => Err(format!("cannot execute {}: {error}", program.display())),
    }
}

fn program() -> Result<PathBuf, String> {
    let given: Option<OsString> = env::var_os(VARIABLE).filter(|path| !path.is_empty());
    if let Some(path) = given {
        return Ok(path.into());
    }
    let found = PLACES.iter().map(Path::new).find(|path| path.is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        let places = PLACES.join(", ");
        format!("there is no sendmail ({places}); install a mail system, or name it in {VARIABLE}")
    })
}

/// The whole mail, RFC 5322.
fn compose(to: &[String], from: Option<&str>, message: &Message) -> String {
    let mut mail = String::new();
    let mut header = |name: &str, value: &str| {
        // A line break would begin another header.
        let value: String = value
            .chars()
            .map(|it| if it.is_control() { ' ' } else { it })
            .collect();
        let _ = writeln!(mail, "{name}: {value}");
    };
    if let Some(from) = from {
        header("From", from);
    }
    for to in to {
        header("To", to);
    }
    let subject = if message.service.is_empty() {
        format!("[{}] {}", message.host, message.cause_name())
    } else {
        let (host, service, cause) = (&message.host, &message.service, message.cause_name());
        format!("[{host}] {service}: {cause}")
    };
    header("Subject", &subject_text(&subject));
    let date = message.moment().strftime("%a, %d %b %Y %H:%M:%S +0000");
    header("Date", &date.to_string());
    let host = Some(message.host.as_str()).filter(|host| !host.is_empty() && host.is_ascii());
    let (at, pid) = (message.at_unix_ms, std::process::id());
    let host = host.unwrap_or("localhost");
    header("Message-ID", &format!("<{at}.{pid}@{host}>"));
    header("Auto-Submitted", "auto-generated");
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=utf-8");
    header("Content-Transfer-Encoding", "8bit");
    mail.push('\n');
    body(&mut mail, message);
    mail
}

fn body(mail: &mut String, message: &Message) {
    let text = message.text.chars().take(TEXT_CHARACTERS_MAX);
    // No line of a mail may be longer than 998 bytes.
    let mut width = 0;
    for character in text {
        if character == '\n' || (width > 200 && character == ' ') || width > 240 {
            mail.push('\n');
            width = 0;
            if character == '\n' || character == ' ' {
                continue;
            }
        }
        if !character.is_control() {
            mail.push(character);
            width += 1;
        }
    }
    mail.push_str("\n\n");
    let facts = [
        ("Host", message.host.as_str()),
        ("Service", &message.service),
        ("State", &message.state),
        ("Cause", message.cause_name()),
        ("At", &message.at()),
    ];
    for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(mail, "{:<9}{value}", format!("{name}:"));
    }
}

/// A header is ASCII; other text is encoded word by word, RFC 2047.
fn subject_text(text: &str) -> String {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut words: Vec<String> = vec![String::new()];
    let mut length = 0;
    for character in text.chars() {
        if length + character.len_utf8() > WORD_BYTES / 2 {
            words.push(String::new());
            length = 0;
        }
        length += character.len_utf8();
        let mut bytes = [0; 4];
        for byte in character.encode_utf8(&mut bytes).bytes() {
            let word = words.last_mut().expect("there is always one");
            if byte.is_ascii_alphanumeric() {
                word.push(char::from(byte));
            } else {
                let _ = write!(word, "={byte:02X}");
            }
        }
    }
    let words = words.iter().map(|word| format!("=?utf-8?Q?{word}?="));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::example;

    #[test]
    fn a_mail_has_its_headers_and_a_blank_line() {
        let to = [
            "ops@example.com".to_owned(),
            "x@example.com\nBcc: y".to_owned(),
        ];
        let mail = compose(&to, Some("mattervisor@example.com"), &example());
        let (head, body) = mail.split_once("\n\n").unwrap();
        let head: Vec<_> = head.lines().collect();
        assert_eq!(head[0], "From: mattervisor@example.com");
        assert_eq!(head[1], "To: ops@example.com");
        assert_eq!(head[2], "To: x@example.com Bcc: y");
        assert_eq!(head[3], "Subject: [chat1] mattermost: failed");
        assert_eq!(head[4], "Date: Tue, 14 Nov 2023 22:13:20 +0000");
        assert!(head[5].starts_with("Message-ID: <1700000000000.") && head[5].ends_with("@chat1>"));
        assert_eq!(head.len(), 10);
        assert!(
            body.starts_with("mattermost has failed: exit code 1\n\n"),
            "{body}"
        );
        assert!(body.contains("At:      2023-11-14T22:13:20Z\n"), "{body}");
    }

    #[test]
    fn long_and_foreign_text_becomes_lines_and_words_that_mail_takes() {
        let mut message = example();
        message.host = "zürich".to_owned();
        message.text = "ä".repeat(2500);
        let mail = compose(&["a@b".to_owned()], None, &message);
        assert!(mail.lines().all(|line| line.len() < 998), "{mail}");
        let subject = mail
            .lines()
            .find(|line| line.starts_with("Subject:"))
            .unwrap();
        assert_eq!(
            subject,
            "Subject: =?utf-8?Q?=5Bz=C3=BCrich=5D=20mattermost=3A=?="
                .replace("=?=", "?= =?utf-8?Q?=20failed?=")
        );
        assert!(mail.contains("@localhost>"), "{mail}");
    }
}
