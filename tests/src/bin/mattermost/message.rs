//! A mail in the form in which the mail server gets it.

use crate::schema::random_text;

/// A mail to one person.
pub(crate) struct Message<'m> {
    /// Display name of the sender.
    pub(crate) name: &'m str,
    /// Address of the sender.
    pub(crate) from: &'m str,
    /// Address for replies; empty if there is none.
    pub(crate) reply_to: &'m str,
    /// Host name of the server, for the Message-ID.
    pub(crate) host: &'m str,
    /// Address of the recipient.
    pub(crate) to: &'m str,
    /// Subject of the mail.
    pub(crate) subject: &'m str,
    /// Body of the mail, as lines of text.
    pub(crate) body: &'m str,
}

impl Message<'_> {
    /// Headers, and the body twice: plain, and as HTML.
    pub(crate) fn text(&self) -> String {
        let now = jiff::Timestamp::now();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let from = self.from;
        let sender = match (self.name, from) {
            ("", "") => "<@>".to_owned(),
            ("", from) => format!("<{from}>"),
            (name, from) => format!("\"{name}\" <{from}>"),
        };
        let mut lines = vec![
            format!("From: {sender}"),
            format!("To: {}", self.to),
            format!("Subject: {}", self.subject),
            format!(
                "Message-ID: <{}-{}@{}>",
                random_text(16),
                now.as_second(),
                self.host
            ),
            format!("Date: {date}"),
            "Auto-Submitted: auto-generated".to_owned(),
            "Precedence: bulk".to_owned(),
        ];
        if !self.reply_to.is_empty() {
            lines.push(format!("Reply-To: <{}>", self.reply_to));
        }
        let mark = random_text(26);
        lines.push("MIME-Version: 1.0".to_owned());
        lines.push(format!(
            "Content-Type: multipart/alternative; boundary={mark}"
        ));
        let escaped = self.body.replace('&', "&amp;").replace('<', "&lt;");
        for (kind, body) in [("plain", self.body), ("html", &format!("<p>{escaped}</p>"))] {
            lines.extend([
                String::new(),
                format!("--{mark}"),
                format!("Content-Type: text/{kind}; charset=UTF-8"),
                "Content-Transfer-Encoding: 8bit".to_owned(),
                String::new(),
                body.to_owned(),
            ]);
        }
        lines.push(format!("--{mark}--"));
        lines.join("\r\n")
    }
}
