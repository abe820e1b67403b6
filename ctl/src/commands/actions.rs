//! `ctl start|stop|restart|once|reload`, `*-except` and the signals.
//!
//! Each action is one request with an id of its own. After a broken connection `operation` asks for
//! the outcome by that id, so that the supervisor never carries out an action twice.

use api::{Action, ActionRequest, Outcome, Verdict};
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format, Kind,
    complete::services,
    operation::{self, DOWN_ENDS, Operation, UP_ENDS, new_id},
    render::{json, outcome, runit},
};

use super::unstored;

// Services that an `*-except` command leaves alone.
#[derive(Debug, Args)]
pub(crate) struct ExceptArgs {
    /// Services that are left alone, at least one
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
}

// At least one service.
#[derive(Debug, Args)]
pub(crate) struct NamedServicesArgs {
    /// Services, at least one
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
}

/// Text after the help of `start`.
pub(crate) const START_EXAMPLES: &str = "\
Lifts the holds of these services and of what they require.

Examples:
  ctl start                                 all that are enabled
  ctl start mattermost --timeout 2m         give up waiting then; the start goes on
  ctl start 'worker@*' --no-wait";

/// Text after the help of `stop`.
pub(crate) const STOP_EXAMPLES: &str = "\
A stopped service stays so until it is started. What requires it stops first, and comes back with
it.

Examples:
  ctl stop nginx
  ctl stop                                  all of them";

/// Text after the help of `restart`.
pub(crate) const RESTART_EXAMPLES: &str = "\
What requires them restarts too, and is named.

Examples:
  ctl restart mattermost nginx
  ctl restart                               all that are enabled";

/// Text after the help of `once`.
pub(crate) const ONCE_EXAMPLES: &str = "\
Neither does their restart policy start them again. The next start makes them ordinary again.

Examples:
  ctl once migration
  ctl once mattermost                       to see how it ends";

/// Text after the help of `reload`.
pub(crate) const RELOAD_EXAMPLES: &str = "\
Examples:
  ctl reload nginx";

/// Text after the help of `start-except`.
pub(crate) const START_EXCEPT_EXAMPLES: &str = "\
A start that would have to start what is named here is refused.

Examples:
  ctl start-except 'worker@*'";

/// Text after the help of `stop-except`.
pub(crate) const STOP_EXCEPT_EXAMPLES: &str = "\
What is named is left as it is, and so is all that it requires.

Examples:
  ctl stop-except postgresql                all but the database";

/// Text after the help of `restart-except`.
pub(crate) const RESTART_EXCEPT_EXAMPLES: &str = "\
What is named is left as it is, and so is all that it requires.

Examples:
  ctl restart-except postgresql nginx";

/// Text after the help of `hup` and the other signals.
pub(crate) const SIGNAL_EXAMPLES: &str = "\
Sent to the main process alone; what it does then is its own affair.

Examples:
  ctl hup nginx
  ctl usr1 nginx 'worker@*'";

/// Requests the action, waits for its end unless `--no-wait` is given, and prints the outcome.
pub(crate) async fn run(
    context: &Context,
    action: Action,
    services: Vec<String>,
) -> Result<u8, Error> {
    carry_out(context, action, services, Vec::new()).await
}

/// Requests the action for all enabled services except these.
pub(crate) async fn all_except(
    context: &Context,
    action: Action,
    except: Vec<String>,
) -> Result<u8, Error> {
    if context.format == Format::Runit {
        context.print(&runit::all_but(&action, &except))?;
    }
    carry_out(context, action, Vec::new(), except).await
}

async fn carry_out(
    context: &Context,
    action: Action,
    services: Vec<String>,
    except: Vec<String>,
) -> Result<u8, Error> {
    let up = action != Action::Stop;
    let once = action == Action::Once;
    let signal = match &action {
        Action::Signal(name) => Some(name.clone()),
        _ => None,
    };
    let request = ActionRequest {
        id: new_id(),
        action,
        services,
        except,
        wait: context.wait,
    };
    let body = serde_json::to_vec(&request)
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write the request: {error}")))?;
    let operation = Operation {
        id: request.id,
        path: "/v1/services".to_owned(),
        body,
        ends: if up { UP_ENDS } else { DOWN_ENDS },
        leave_when_accepted: false,
    };
    let ended = operation::carry_out(context, &operation).await?;
    let text = match context.format {
        Format::Json => json::value(&ended, context.terminal())?,
        // `sv` prints nothing for signals, and does not wait after `once`.
        Format::Runit if signal.is_some() || once => String::new(),
        Format::Runit => runit::results(&ended.results, up),
        Format::Table => match signal {
            Some(name) => outcome::signalled(&ended.results, &name),
            None => outcome::done(&ended.results, up),
        },
    };
    finish(context, &ended, &text)
}

/// Prints the outcome, and on stderr the services that failed. The exit code is that of the
/// operation even if nobody reads stdout.
pub(super) fn finish(context: &Context, outcome: &Outcome, text: &str) -> Result<u8, Error> {
    let failed = outcome
        .results
        .iter()
        .any(|result| result.verdict == Verdict::Failed);
    let code = if failed || context.wait && !outcome.finished {
        Kind::Failed.exit_code()
    } else {
        0
    };
    let printed = context.print(text);
    for line in outcome::failures(&outcome.results) {
        context.output.borrow_mut().note(&line);
    }
    for line in unstored::lines(&outcome.unstored) {
        context.output.borrow_mut().note(&line);
    }
    match printed {
        Err(error) if error.kind != Kind::OutputClosed => Err(error),
        _ => Ok(code),
    }
}

#[cfg(test)]
mod tests;
