//! `ctl service-list`: lists every service, and whether the service is enabled on this host.

use std::fmt::Write as _;

use api::StatusReply;
use client::{
    Context, Error, Format,
    render::{DIM, json, shown, table},
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  ctl service-list
  ctl service-list --format runit           an asterisk behind each that is enabled";

/// Prints the list; `runit` marks the enabled with a star, as gitlab-ctl does.
pub(crate) async fn run(context: &Context) -> Result<u8, Error> {
    let reply: StatusReply = context.client.get("/v1/services").await?;
    let text = match context.format {
        Format::Json => json::value(&reply.services, context.terminal())?,
        Format::Runit => stars(&reply),
        Format::Table => list(&reply),
    };
    context.print(&text)?;
    Ok(0)
}

fn stars(reply: &StatusReply) -> String {
    let mut text = String::new();
    for service in &reply.services {
        let star = if service.enabled { "*" } else { "" };
        let _ = writeln!(text, "{}{star}", service.name);
    }
    text
}

fn list(reply: &StatusReply) -> String {
    let row = |service: &api::ServiceStatus| {
        let enabled = if service.enabled {
            table::plain("yes")
        } else {
            (DIM, "no".to_owned())
        };
        let (name, about) = (shown(&service.name), shown(&service.description));
        vec![table::plain(name), enabled, table::plain(about)]
    };
    let rows: Vec<_> = reply.services.iter().map(row).collect();
    let lines = table::columns(&["NAME", "ENABLED", "DESCRIPTION"], &rows);
    lines.join(
        "
",
    ) + "
"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, every_state, supervisor};

    fn reply() -> Answer {
        let mut services = every_state();
        services.retain(|service| ["redis", "mattermost"].contains(&service.name.as_str()));
        let reply = StatusReply {
            supervisor: supervisor(),
            services,
        };
        Answer::Whole(200, serde_json::to_string(&reply).unwrap())
    }

    #[test]
    fn the_enabled_are_told_from_the_disabled() {
        assert_eq!(
            Fake::new(vec![reply()]).ctl("service-list").out,
            "NAME        ENABLED  DESCRIPTION\n\
             mattermost  yes      The mattermost service\n\
             redis       no       The redis service\n"
        );
        assert_eq!(
            Fake::new(vec![reply()])
                .ctl("service-list --format runit")
                .out,
            "mattermost*\nredis\n"
        );
    }
}
