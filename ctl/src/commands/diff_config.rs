//! `ctl diff-config`: shows what a reconfigure would change, and why. The exit code is 1 if a
//! reconfigure would change anything.

use std::fmt::Write as _;

use api::{DiffReply, KeyDiff, PlanImpact, ServiceDiff};
use client::{
    Context, Error, Format, Kind, escaped,
    render::{BOLD, GREEN, RED, json, shown, styled},
    toml_text,
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  ctl diff-config                           before ctl reconfigure";

/// Prints the differences of the files from the plan that runs.
pub(crate) async fn run(context: &Context, names: &[String]) -> Result<u8, Error> {
    let path = format!("/v1/diff?services={}", escaped(&names.join(",")));
    let diff: DiffReply = context.client.get(&path).await?;
    let same = diff.site.is_empty() && diff.services.is_empty();
    let text = match context.format {
        Format::Json => json::value(&diff, context.terminal())?,
        Format::Table | Format::Runit if same => "no difference\n".to_owned(),
        Format::Table | Format::Runit => differences(&diff),
    };
    context.print(&text)?;
    Ok(if same { 0 } else { Kind::Failed.exit_code() })
}

fn differences(diff: &DiffReply) -> String {
    let mut text = String::new();
    for what in &diff.site {
        let _ = writeln!(text, "{}: {}", styled(BOLD, "supervisor"), shown(what));
    }
    for service in &diff.services {
        let reasons = service.reasons.join(", ");
        let name = shown(&service.name);
        let _ = writeln!(
            text,
            "{} {}: {}",
            styled(BOLD, &name),
            verb(service),
            shown(&reasons)
        );
        for key in &service.keys {
            values(&mut text, key);
        }
    }
    text
}

fn values(text: &mut String, key: &KeyDiff) {
    for (value, sign, style) in [(&key.before, '-', RED), (&key.after, '+', GREEN)] {
        if let Some(value) = value {
            let line = match (file(&key.key), value.as_str()) {
                (Some(path), Some(text)) => format!("  {sign} {path}: {text}"),
                _ => format!("  {sign} {} = {}", key.key, toml_text::value(value)),
            };
            let _ = writeln!(text, "{}", styled(style, &shown(&line)));
        }
    }
}

/// The path in a key `files."PATH"`, whose value may be a line of that file.
fn file(key: &str) -> Option<&str> {
    key.strip_prefix("files.\"")?.strip_suffix('"')
}

/// What a reconfigure would do to the service.
fn verb(service: &ServiceDiff) -> &'static str {
    match service.action {
        PlanImpact::Restart => "would restart",
        PlanImpact::Reload => "would reload",
        PlanImpact::Start => "would start",
        PlanImpact::Stop => "would stop",
        PlanImpact::InPlace | PlanImpact::Keep => "would be updated in place",
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use crate::testing::{Answer, Fake};

    fn ran(answer: &serde_json::Value) -> (u8, String) {
        let fake = Fake::new(vec![Answer::Whole(200, answer.to_string())]);
        let ran = fake.ctl("diff-config");
        assert_eq!(ran.err, "");
        (ran.code, ran.out)
    }

    #[test]
    fn no_difference_is_0() {
        let (code, out) = ran(&json!({ "site": [], "services": [] }));
        assert_eq!((code, out.as_str()), (0, "no difference\n"));
    }

    #[test]
    fn differences_are_1_with_reasons_and_values() {
        let (code, out) = ran(&json!({
            "site": ["notify chat added"],
            "services": [
                { "name": "a", "action": "start", "reasons": ["added"], "keys": [] },
                { "name": "b", "action": "restart", "reasons": ["env X changed", "env KEY changed"],
                  "keys": [{ "key": "env.X", "before": "1", "after": "2" },
                           { "key": "nice", "before": null, "after": 3 },
                           { "key": "files.\"/run/x.conf\"", "before": "a 1;", "after": "a 2;" },
                           { "key": "files.\"/run/y.conf\"", "before": { "bytes": 1 }, "after": { "bytes": 2 } }] },
            ],
        }));
        assert_eq!(code, 1);
        assert_snapshot!(out, @r#"
    supervisor: notify chat added
    a would start: added
    b would restart: env X changed, env KEY changed
      - env.X = "1"
      + env.X = "2"
      + nice = 3
      - /run/x.conf: a 1;
      + /run/x.conf: a 2;
      - files."/run/y.conf" = { bytes = 1 }
      + files."/run/y.conf" = { bytes = 2 }
    "#);
    }
}
