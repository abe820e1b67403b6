//! `ctl why`: the chain of causes.

use std::fmt::Write as _;

use api::Why;
use jiff::Timestamp;

use super::Context;
use crate::{
    cli::Format,
    client::escaped,
    error::Error,
    render::{BOLD, DIM, ago, json, shown, styled},
};

/// Prints each link of the chain with its history and its last lines.
pub(crate) async fn run(context: &Context, name: &str) -> Result<u8, Error> {
    let why: Why = context
        .client
        .get(&format!("/v1/why/{}", escaped(name)))
        .await?;
    let text = match context.format {
        Format::Json => json::value(&why, context.terminal())?,
        _ => chain(&why, Timestamp::now()),
    };
    context.print(&text)?;
    Ok(0)
}

fn chain(why: &Why, now: Timestamp) -> String {
    let mut text = String::new();
    for (depth, step) in why.chain.iter().enumerate() {
        let because = if depth == 0 { "" } else { "because " };
        let sentence = shown(&step.sentence);
        let _ = writeln!(text, "{because}{}", styled(BOLD, &sentence));
        if let Some(exit) = &step.service.last_exit {
            let (how, when) = (shown(&exit.reason), ago(&exit.at, now));
            let _ = writeln!(text, "  last exit: {how}, {when} ({})", shown(&exit.at));
        }
        if !step.history.is_empty() {
            text.push_str("  what happened:\n");
        }
        for event in &step.history {
            let _ = writeln!(text, "    {}", shown(event));
        }
        if !step.log.is_empty() {
            text.push_str("  what it said last:\n");
        }
        for line in &step.log {
            let at = shown(&line.at);
            let _ = writeln!(text, "    {DIM}{at}{DIM:#} {}", shown(&line.text));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use api::{LogLine, WhyStep};

    use super::*;
    use crate::testing::{Answer, Fake, NOW, every_state};

    fn why() -> Why {
        let step = |index: usize, sentence: &str| WhyStep {
            service: every_state()[index].clone(),
            sentence: sentence.into(),
            history: vec!["11:59:15 exited with code 1".into()],
            log: vec![LogLine {
                file: None,
                service: "x".into(),
                at: "2026-11-22T11:59:15.000000Z".into(),
                text: "cannot bind \x1b[31mport".into(),
                marker: false,
            }],
        };
        Why {
            chain: vec![
                step(4, "waits is waiting on nginx"),
                step(2, "nginx is in backoff"),
            ],
        }
    }

    #[test]
    fn the_chain_reads_downwards() {
        let text = chain(&why(), NOW.parse().unwrap());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        waits is waiting on nginx
          what happened:
            11:59:15 exited with code 1
          what it said last:
            2026-11-22T11:59:15.000000Z cannot bind \x1b[31mport
        because nginx is in backoff
          last exit: exit code 1, 45s ago (2026-11-22T11:59:15Z)
          what happened:
            11:59:15 exited with code 1
          what it said last:
            2026-11-22T11:59:15.000000Z cannot bind \x1b[31mport
        ");
    }

    #[test]
    fn it_is_asked_by_name() {
        let fake = Fake::new(vec![Answer::Whole(
            200,
            serde_json::to_string(&why()).unwrap(),
        )]);
        let ran = fake.ctl("why waits --format json");
        assert_eq!(serde_json::from_str::<Why>(&ran.out).unwrap(), why());
        assert_eq!(fake.requests(), ["GET /v1/why/waits HTTP/1.1"]);
    }
}
