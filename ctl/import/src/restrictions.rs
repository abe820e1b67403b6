//! Invariant: an import opens nothing to more people than before. Where a restriction could not be
//! converted, the import closes the restricted access until a person has decided.

use serde_json::Value as Json;

use super::{convert::Converter, draft::Part, report::Origin};

/// A setting that restricts an access, and the access to close without the setting.
struct Restriction {
    /// The setting's name in gitlab.rb.
    what: &'static str,
    /// The key that opens the access. `instead` is its closed value; if empty, the key is removed.
    opens: [&'static str; 2],
    instead: &'static [&'static str],
    /// The effect of closing, for the report.
    closed: &'static str,
}

const LOCAL: &[&str] = &["127.0.0.1", "[::1]"];

const RESTRICTIONS: [Restriction; 4] = [
    Restriction {
        what: "postgresql['hostssl']",
        opens: ["postgresql", "listen_address"],
        instead: &[],
        closed: "PostgreSQL does not listen on the network",
    },
    Restriction {
        what: "mattermost_nginx['ssl_verify_client']",
        opens: ["mattermost_nginx", "listen_addresses"],
        instead: LOCAL,
        closed: "nginx listens on this machine alone",
    },
    Restriction {
        what: "mattermost_nginx['ssl_client_certificate']",
        opens: ["mattermost_nginx", "listen_addresses"],
        instead: LOCAL,
        closed: "nginx listens on this machine alone",
    },
    Restriction {
        what: "mattermost_nginx['custom_gitlab_mattermost_server_config']",
        opens: ["mattermost_nginx", "listen_addresses"],
        instead: LOCAL,
        closed: "nginx listens on this machine alone",
    },
];

impl Converter<'_> {
    /// Closes each access whose restriction waits for a person.
    pub(super) fn fail_closed(&mut self) {
        for one in &RESTRICTIONS {
            if !self.said_in_vain(one.what) || self.is_closed(one) {
                continue;
            }
            if one.instead.is_empty() {
                self.draft.take(&one.opens);
            } else {
                let value = Json::from(one.instead);
                let note = Some("until the lines that need you are decided");
                self.add(Origin::Package, Part::Nginx, &one.opens, value, false, note);
            }
            let why = format!("until this is decided, {}: {}", one.closed, one.what);
            self.report
                .person(Origin::Package, &one.opens.join("."), why.clone());
            self.draft.comments.push(why);
        }
    }

    fn is_closed(&self, one: &Restriction) -> bool {
        let now = self.draft.get(&one.opens);
        if one.instead.is_empty() {
            return now.is_none();
        }
        let off = self.draft.get(&["mattermost_nginx", "enable"]);
        off.is_some_and(|it| it.value == false)
            || now.is_some_and(|it| it.value == Json::from(one.instead))
    }
}
