//! `ctl show-config`: the running plan, with the source of each variable. The text is TOML, which a
//! program can read; no secret is in it.

use std::fmt::Write as _;

use api::{ConfigKey, PlanReply};
use client::{
    Context, Error, Format, escaped,
    render::{BOLD, DIM, json, shown, styled},
    toml_text,
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  ctl show-config mattermost
  ctl show-config --format json";

/// Column of the sources, where the value leaves room.
const SOURCE_COLUMN: usize = 60;

/// Prints the plan, or the named services of the plan.
pub(crate) async fn run(context: &Context, names: &[String]) -> Result<u8, Error> {
    let path = format!("/v1/plan?services={}", escaped(&names.join(",")));
    let plan: PlanReply = context.client.get(&path).await?;
    let text = match context.format {
        Format::Json => json::value(&plan, context.terminal())?,
        Format::Table | Format::Runit => document(&plan),
    };
    context.print(&text)?;
    Ok(0)
}

fn document(plan: &PlanReply) -> String {
    let mut text = String::new();
    for key in &plan.site {
        line(&mut text, key);
    }
    for service in &plan.services {
        if !text.is_empty() {
            text.push('\n');
        }
        let header = format!("[{}]", toml_text::key(&service.name));
        let _ = writeln!(text, "{}", styled(BOLD, &shown(&header)));
        for key in &service.keys {
            line(&mut text, key);
        }
    }
    text
}

fn line(text: &mut String, key: &ConfigKey) {
    let line = format!("{} = {}", key.key, toml_text::value(&key.value));
    text.push_str(&shown(&line));
    if let Some(source) = &key.source {
        let room = SOURCE_COLUMN.saturating_sub(line.chars().count()).max(2);
        let comment = format!("# {source}");
        let _ = write!(text, "{:room$}{}", "", styled(DIM, &comment));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use api::VariableSource;
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, Fake};

    fn key(key: &str, value: Value, source: Option<VariableSource>) -> ConfigKey {
        ConfigKey {
            key: key.to_owned(),
            value,
            secret: false,
            source,
        }
    }

    fn plan() -> PlanReply {
        PlanReply {
            site: vec![key("manage_accounts.enable", json!(true), None)],
            services: vec![api::ServiceConfig {
                name: "worker@1".to_owned(),
                keys: vec![
                    key("command", json!(["/bin/a", "x \"y\""]), None),
                    key("limits.nofile", json!({ "soft": 1, "hard": 2 }), None),
                    key("env.A", json!("1\u{1b}[2J"), Some(VariableSource::Setting)),
                    ConfigKey {
                        secret: true,
                        ..key("env.B", json!("(secret)"), Some(VariableSource::EnvFiles))
                    },
                ],
            }],
        }
    }

    #[test]
    fn it_is_toml_with_the_sources_as_comments() {
        let text = anstream::adapter::strip_str(&document(&plan())).to_string();
        assert_snapshot!(text, @r#"
    manage_accounts.enable = true

    ["worker@1"]
    command = ["/bin/a", "x \"y\""]
    limits.nofile = { hard = 2, soft = 1 }
    env.A = "1\u001b[2J"                                        # a setting
    env.B = "(secret)"                                          # env_files
    "#);
    }

    #[test]
    fn names_are_asked_for_and_json_is_the_reply() {
        let fake = Fake::new(vec![Answer::Whole(
            200,
            serde_json::to_string(&plan()).unwrap(),
        )]);
        let ran = fake.ctl("show-config worker@* --format json");
        assert_eq!(ran.code, 0, "{}", ran.err);
        let said: PlanReply = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(said, plan());
    }
}
