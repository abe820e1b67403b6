//! A small browser: curl with cookies, on a host of the network. The browser follows no redirect by
//! itself.

use std::path::{Path, PathBuf};

use mattervisor_tests::{Namespace, run};
use tempfile::TempDir;

/// A browser with cookies of its own.
pub(super) struct Browser<'n> {
    host: &'n Namespace,
    directory: TempDir,
    authority: Option<PathBuf>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl<'n> Browser<'n> {
    /// A browser on this host; trusts this authority alone if one is named.
    pub(super) fn new(host: &'n Namespace, authority: Option<&Path>) -> Self {
        Self {
            host,
            directory: tempfile::tempdir().unwrap(),
            authority: authority.map(Path::to_owned),
        }
    }

    pub(super) fn get(&self, url: &str) -> Page {
        self.ask(url, &[])
    }

    /// Sends a form as a browser does, from the page's own origin.
    pub(super) fn post(&self, url: &str, fields: &[(&str, &str)]) -> Page {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let arguments = pairs
            .iter()
            .flat_map(|pair| ["--data-urlencode", pair.as_str()]);
        let origin: Vec<&str> = url.splitn(4, '/').take(3).collect();
        let origin = format!("origin: {}", origin.join("/"));
        let arguments: Vec<&str> = arguments.chain(["-H", &origin]).collect();
        self.ask(url, &arguments)
    }

    /// Asks with these further arguments of curl.
    pub(super) fn ask(&self, url: &str, arguments: &[&str]) -> Page {
        let jar = self.directory.path().join("cookies");
        let mut command = self.host.command("curl");
        command.args(["-sS", "-i", "--max-time", "30", "--noproxy", "*"]);
        command.arg("-b").arg(&jar).arg("-c").arg(&jar);
        if let Some(authority) = &self.authority {
            command.arg("--cacert").arg(authority);
        }
        let said = run(command.args(arguments).arg(url)).ok().stdout;
        let (head, body) = said.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        Page {
            status: status.expect("an answer has a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

impl Page {
    /// All values of a header.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// Where a redirect leads; an answer that is no redirect fails the test.
    #[track_caller]
    pub(super) fn leads_to(&self) -> String {
        assert!([301, 302, 303, 307].contains(&self.status), "{self:?}");
        let to = self.headers("location");
        (*to.first().expect("a redirect has a place")).to_owned()
    }

    /// Address to which the form with this button goes, and its hidden fields.
    #[track_caller]
    pub(super) fn form(&self, button: &str) -> (String, Vec<(String, String)>) {
        let end = format!(">{button}</button>");
        let mut forms = self.body.split("<form ").skip(1);
        let form = forms.find(|form| form.contains(&end));
        let form = form.unwrap_or_else(|| panic!("no form with {button}: {self:?}"));
        let action = between(form, "action=\"", "\"").expect("a form goes somewhere");
        let inputs = form.split("<input type=\"hidden\" ").skip(1);
        let fields = inputs.filter_map(|input| {
            Some((
                between(input, "name=\"", "\"")?,
                between(input, "value=\"", "\"")?,
            ))
        });
        (action, fields.collect())
    }
}

/// The text between two marks, out of HTML.
fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (inner, _) = rest.split_once(after)?;
    Some(
        inner
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}
