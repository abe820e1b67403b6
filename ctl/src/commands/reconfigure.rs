//! `ctl reconfigure`: apply the configuration files.

use api::Verdict;

use super::{Context, actions};
use crate::{
    change::{self, Change},
    cli::Format,
    error::Error,
    render::{json, runit, table},
};

/// Asks for it and tells what became of each service that it concerned.
pub(crate) async fn run(context: &Context) -> Result<u8, Error> {
    let id = change::new_id();
    let change = Change {
        path: format!("/v1/reconfigure?id={id}"),
        id,
        body: Vec::new(),
        ends: change::UP_ENDS,
        leave_when_accepted: !context.wait,
    };
    let outcome = change::carry_out(context, &change).await?;
    let text = match context.format {
        Format::Json => json::value(&outcome, context.terminal())?,
        Format::Runit
            if outcome
                .results
                .iter()
                .any(|it| it.verdict == Verdict::Failed) =>
        {
            runit::results(&outcome.results, true)
        }
        Format::Runit => runit::results(&outcome.results, true) + runit::RECONFIGURED,
        Format::Table if outcome.finished && outcome.results.is_empty() => {
            "reconfigured: no service had to change\n".to_owned()
        }
        Format::Table => table::results(&outcome.results, true),
    };
    actions::finish(context, &outcome, &text)
}

#[cfg(test)]
mod tests {
    use api::{Outcome, Progress};

    use super::*;
    use crate::testing::{Answer, Fake};

    #[test]
    fn nothing_to_change_is_said() {
        let outcome = Outcome {
            id: "x".into(),
            finished: true,
            results: Vec::new(),
        };
        let text = json::lines(&[Progress::Done(outcome)]).unwrap();
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("reconfigure");
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "reconfigured: no service had to change\n")
        );
        assert!(fake.requests()[0].starts_with("POST /v1/reconfigure?id="));
    }

    #[test]
    fn a_configuration_that_does_not_check_is_1() {
        let refused =
            r#"{"kind":"configuration","message":"2 problems","hint":"ctl check-config"}"#;
        let ran = Fake::new(vec![Answer::Whole(422, refused.into())]).ctl("reconfigure");
        assert_eq!(ran.code, 1);
        assert_eq!(ran.err, "error: 2 problems\nhint: ctl check-config\n");
    }

    #[test]
    fn no_wait_leaves_when_it_is_accepted() {
        let accepted = Progress::Accepted {
            services: Vec::new(),
            notes: vec!["nginx reloads".into()],
        };
        let text = json::lines(&[accepted]).unwrap();
        let ran = Fake::new(vec![Answer::Stall(text)]).ctl("reconfigure --no-wait");
        assert_eq!((ran.code, ran.out.as_str()), (0, "nginx reloads\n"));
    }
}
