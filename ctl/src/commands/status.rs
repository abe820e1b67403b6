//! `ctl status`: what runs, whether it is ready, since when, and why not.

use api::StatusReply;
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format, Kind,
    complete::services,
    render::{YELLOW, json, runit, shown, styled, table},
    service_query,
};
use jiff::Timestamp;

use super::maintenance;

// The services to show, and whether with their usage.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Services; none means all
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// With the CPU and memory of each, children included
    #[arg(long)]
    pub(crate) usage: bool,
}

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Ends with 3 if an enabled service is not ready.

Examples:
  ctl status                                what runs, and why not
  ctl status mattermost 'post*'
  ctl status --usage                        with processor time and memory of whole process trees
  ctl status --format json | jq '.services[] | select(.ready | not) | .name'
  ctl status --format runit                 gitlab-ctl's lines";

/// Exit code 3 if an enabled service is not ready; a disabled one counts only when named.
pub(crate) async fn run(context: &Context, arguments: &StatusArgs) -> Result<u8, Error> {
    let names = &arguments.names;
    let path = if arguments.usage {
        service_query::usage_path(names)
    } else {
        service_query::status_path(names)
    };
    let mut reply: StatusReply = context.client.get(&path).await?;
    let named = !names.is_empty();
    if context.format == Format::Table && !named {
        hide_disabled(&mut reply.services);
        reply.services.retain(|service| !service.is_resting_job());
    }
    let text = match context.format {
        Format::Json => json::value(&reply, context.terminal())?,
        Format::Runit => runit::status(&reply.supervisor, &reply.services, named),
        Format::Table => table::status(&reply, context.terminal(), Timestamp::now()),
    };
    context.print(&text)?;
    if context.format == Format::Table {
        if let Some(said) = &reply.supervisor.maintenance {
            let line = styled(YELLOW.bold(), &maintenance::line(said));
            context.output.borrow_mut().note(&line);
        }
        for warning in &reply.supervisor.warnings {
            let word = styled(YELLOW.bold(), "warning:");
            context
                .output
                .borrow_mut()
                .note(&format!("{word} {}", shown(warning)));
        }
    }
    let down = |service: &api::ServiceStatus| !service.ready && (service.enabled || named);
    Ok(if reply.services.iter().any(down) {
        Kind::NotReady.exit_code()
    } else {
        0
    })
}

/// Removes disabled services, and jobs that nobody has asked for: `ctl service-list` and
/// `ctl status NAME` have them. If nothing is enabled, all stay, since each says how to enable it.
fn hide_disabled(services: &mut Vec<api::ServiceStatus>) {
    if services.iter().any(|service| service.enabled) {
        services.retain(|service| service.enabled && !service.is_resting_job());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, every_state, supervisor};

    fn reply(services: Vec<api::ServiceStatus>) -> Answer {
        let reply = StatusReply {
            supervisor: supervisor(),
            services,
        };
        Answer::Whole(200, serde_json::to_string(&reply).unwrap())
    }

    fn only(name: &str) -> Vec<api::ServiceStatus> {
        every_state()
            .into_iter()
            .filter(|service| service.name == name)
            .collect()
    }

    #[test]
    fn disabled_ones_are_hidden_unless_nothing_is_enabled() {
        let mut services = every_state();
        hide_disabled(&mut services);
        assert!(services.iter().all(|service| service.enabled));
        let mut services = only("redis");
        hide_disabled(&mut services);
        assert_eq!(services.len(), 1, "it says how it is enabled");
    }

    #[test]
    fn all_ready_is_0_and_disabled_ones_do_not_count() {
        let fake = Fake::new(vec![reply(
            [only("setup"), only("mattermost"), only("redis")].concat(),
        )]);
        let ran = fake.ctl("status");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(fake.requests(), ["GET /v1/services HTTP/1.1"]);
    }

    #[test]
    fn a_service_that_is_down_is_3() {
        assert_eq!(Fake::new(vec![reply(every_state())]).ctl("status").code, 3);
    }

    #[test]
    fn several_names_are_asked_for_at_once() {
        let fake = Fake::new(vec![reply(only("mattermost"))]);
        assert_eq!(fake.ctl("status mattermost ngin*").code, 0);
        assert_eq!(
            fake.requests(),
            ["GET /v1/services?services=mattermost,ngin%2A HTTP/1.1"]
        );
    }

    #[test]
    fn usage_is_asked_for_and_stands_in_columns_of_its_own() {
        let mut services = only("mattermost");
        services[0].cpu_percent = Some(12.5);
        services[0].memory_bytes = Some(345 << 20);
        let fake = Fake::new(vec![reply(services.clone()), reply(services)]);
        let ran = fake.ctl("status --usage mattermost");
        let header = ran.out.lines().next().unwrap();
        assert!(header.contains("CPU") && header.contains("MEM"), "{header}");
        assert!(
            ran.out.contains("12.5%") && ran.out.contains("345M"),
            "{}",
            ran.out
        );
        fake.ctl("status --usage");
        assert_eq!(
            fake.requests(),
            [
                "GET /v1/services?services=mattermost&usage=true HTTP/1.1",
                "GET /v1/services?usage=true HTTP/1.1"
            ]
        );
    }

    #[test]
    fn a_disabled_service_that_is_named_is_3() {
        let ran = Fake::new(vec![reply(only("redis"))]).ctl("status redis");
        assert_eq!(ran.code, 3);
    }

    #[test]
    fn the_server_judges_an_unknown_name() {
        let refused = r#"{"kind":"unknown-service","message":"no service `ngin`","hint":"did you mean `nginx`?"}"#;
        let ran = Fake::new(vec![Answer::Whole(404, refused.into())]).ctl("status ngin");
        assert_eq!(ran.code, 4);
        assert_eq!(ran.out, "");
        assert_eq!(
            ran.err,
            "error: no service `ngin`\nhint: did you mean `nginx`?\n"
        );
    }

    #[test]
    fn json_is_the_reply_on_one_line() {
        let ran = Fake::new(vec![reply(only("mattermost"))]).ctl("status --format json");
        let back: StatusReply = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(back.services, only("mattermost"));
        assert_eq!(ran.out.lines().count(), 1);
    }

    #[test]
    fn a_look_that_is_cut_off_is_taken_again() {
        let ran = Fake::new(vec![
            Answer::Hangup,
            Answer::Cut("{\"su".into()),
            reply(only("mattermost")),
        ])
        .ctl("status");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    }

    #[test]
    fn maintenance_stands_beside_the_table() {
        let mut supervisor = supervisor();
        supervisor.maintenance = Some(api::Maintenance {
            message: None,
            since: Timestamp::now().to_string(),
            by: "root".into(),
        });
        let reply = StatusReply {
            supervisor,
            services: only("mattermost"),
        };
        let body = serde_json::to_string(&reply).unwrap();
        let ran = Fake::new(vec![Answer::Whole(200, body)]).ctl("status");
        assert_eq!(ran.err, "maintenance is on, begun 0s ago, by root\n");
    }

    #[test]
    fn warnings_stand_beside_the_table() {
        let mut supervisor = supervisor();
        supervisor.warnings = vec!["the configuration was refused".into()];
        let reply = StatusReply {
            supervisor,
            services: only("mattermost"),
        };
        let body = serde_json::to_string(&reply).unwrap();
        let ran = Fake::new(vec![Answer::Whole(200, body)]).ctl("status");
        assert_eq!(ran.err, "warning: the configuration was refused\n");
    }
}
