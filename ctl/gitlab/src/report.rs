//! Prints what was done and what is left to do, as text or JSON. No secret reaches this module.

use std::fmt::Write as _;

use client::{
    Context, Error, Format,
    render::{BOLD, GREEN, YELLOW, json, shown, styled},
};

use super::{
    application::{Application, NAME, SCOPE},
    local_config::LocalConfig,
};

/// What was done with the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The application existed and needed no change.
    Found,
    /// The application was created.
    Created,
    /// The secret was renewed.
    Renewed,
    /// A new application replaced the old one.
    Replaced,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Created => "created",
            Self::Renewed => "renewed",
            Self::Replaced => "replaced",
        }
    }

    fn sentence(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Found, _) => "is there, and its secret is the one that is configured here",
            (Self::Created, false) => "created",
            (Self::Created, true) => "would be created",
            (Self::Renewed, false) => "has a new secret",
            (Self::Renewed, true) => "would get a new secret",
            (Self::Replaced, false) => "created anew; the old one is removed",
            (Self::Replaced, true) => "would be created anew and the old one removed",
        }
    }
}

/// Outcome of a run.
pub(super) struct Done {
    pub(super) action: Action,
    /// The application; `None` in a dry run that would have created it.
    pub(super) application: Option<Application>,
    /// Dotted names of the values stored in `secrets.toml`.
    pub(super) stored: Vec<String>,
    /// Remarks for the person.
    pub(super) remarks: Vec<String>,
}

impl Done {
    pub(super) fn new(action: Action, application: Option<Application>) -> Self {
        Self {
            action,
            application,
            stored: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// Prints the outcome.
pub(super) fn print(
    context: &Context,
    here: &LocalConfig,
    url: &str,
    uris: &[String; 2],
    done: &Done,
    dry_run: bool,
) -> Result<(), Error> {
    let file = here.secrets_file().display().to_string();
    let line = format!(
        "gitlab_rails['mattermost_host'] = \"{}\"",
        here.told.site_url
    );
    if context.format == Format::Json {
        let application = done.application.as_ref();
        let value = serde_json::json!({
            "gitlab": url,
            "action": done.action.word(),
            "dry_run": dry_run,
            "application": application.map(|it| serde_json::json!({
                "id": it.id, "application_id": it.client_id, "name": it.name,
            })),
            "redirect_uris": uris,
            "stored": done.stored,
            "secrets_file": file,
            "gitlab_rb": [line],
            "remarks": done.remarks,
        });
        return context.print(&json::value(&value, context.terminal())?);
    }
    let name = done.application.as_ref().map_or(NAME, |it| &it.name);
    let mut text = format!(
        "application `{}` in {}: {}\n",
        shown(name),
        shown(url),
        styled(GREEN, done.action.sentence(dry_run))
    );
    for uri in uris {
        let _ = writeln!(text, "  {}", shown(uri));
    }
    if matches!(done.action, Action::Created | Action::Replaced) {
        let _ = writeln!(text, "  confidential, scope {SCOPE}");
    }
    match (done.stored.is_empty(), dry_run) {
        (true, _) => text.push_str("nothing had to change here\n"),
        (false, dry_run) => {
            let verb = if dry_run {
                "would go into"
            } else {
                "stored in"
            };
            let _ = writeln!(text, "{verb} {file}: {}", done.stored.join(", "));
        }
    }
    next(&mut text, done, &line);
    for remark in &done.remarks {
        let _ = writeln!(text, "{} {}", styled(YELLOW, "note:"), shown(remark));
    }
    context.print(&text)
}

/// The steps that are left to a person.
fn next(text: &mut String, done: &Done, line: &str) {
    let mut step = |what: &str, lines: &[&str]| {
        let _ = writeln!(text, "\n{}", styled(BOLD, what));
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    };
    if !done.stored.is_empty() {
        step("next, here:", &["ctl reconfigure"]);
    }
    step(
        "on GitLab's server, in /etc/gitlab/gitlab.rb, if it is not there yet:",
        &[line],
    );
    step("and then there:", &["gitlab-ctl reconfigure"]);
    if matches!(done.action, Action::Created | Action::Replaced) {
        step(
            "in GitLab's admin area, under Applications, Edit: tick Trusted",
            &["its API cannot; until then it asks every user once whether to allow Mattermost"],
        );
    }
    text.push('\n');
}
