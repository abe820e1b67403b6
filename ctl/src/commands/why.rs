//! `ctl why`: explains the state of a service by its chain of causes, and says what to do.

use api::Why;
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format,
    complete::services,
    escaped,
    render::{json, why::story},
};
use jiff::Timestamp;

// The service to explain.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Service
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) name: String,
}

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  ctl why mattermost                        down to what is broken, with what to do about it";

/// Prints the chain of causes.
pub(crate) async fn run(context: &Context, name: &str) -> Result<u8, Error> {
    let why: Why = context
        .client
        .get(&format!("/v1/why/{}", escaped(name)))
        .await?;
    let text = match context.format {
        Format::Json => json::value(&why, context.terminal())?,
        _ => story(&why, Timestamp::now()),
    };
    context.print(&text)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake};
    use client::testing::step;

    #[test]
    fn it_is_asked_by_name() {
        let why = Why {
            chain: vec![step(0, 4, "waits waits for postgresql")],
        };
        let fake = Fake::new(vec![Answer::Whole(
            200,
            serde_json::to_string(&why).unwrap(),
        )]);
        let ran = fake.ctl("why waits --format json");
        assert_eq!(serde_json::from_str::<Why>(&ran.out).unwrap(), why);
        assert_eq!(fake.requests(), ["GET /v1/why/waits HTTP/1.1"]);
    }
}
