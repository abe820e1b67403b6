//! `ctl top`: a live view of the services.
//!
//! `model.rs` is pure: what has come in goes into [`model::Model::update`], what is to be done comes
//! out. `view.rs` draws a model, `keys.rs` says what keys mean, `sources.rs` brings in what the
//! supervisor says, `terminal.rs` borrows the terminal. Limits: the constants of each.

mod keys;
mod model;
mod order;
mod sources;
mod terminal;
mod view;

#[cfg(test)]
mod tests;

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use client::{Context, Error, Kind, command_line, programs, service_query::ServicesArgs};
use tokio::{sync::mpsc, time::Instant};

use model::{Effect, Model, Msg};
use sources::Sources;
use terminal::Screen;

/// What stands below the help.
const EXAMPLES: &str = "\
Keys: up and down select, r restarts and s stops after a question, S starts, f follows the log on
the whole screen, Enter says why, / filters, o sorts, ? lists all keys, q quits. Usage is of whole
process trees, once a second. Needs a terminal; in a pipe use ctl status --usage.

Examples:
  ctl top
  ctl top 'worker@*'";

// The command of this program.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(about = programs::about("top"), after_help = EXAMPLES)]
    Top(ServicesArgs),
}

/// Messages that wait to be taken in; a source then waits.
const MESSAGES_MAX: usize = 1024;
/// Time between two pictures while nobody presses a key.
const PICTURE_PAUSE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    command_line::main(run)
}

/// Draws until somebody has seen enough. Refused where there is no terminal to draw on.
async fn run(context: &Context, command: Command) -> Result<u8, Error> {
    let Command::Top(ServicesArgs { names }) = &command;
    if !context.terminal() || terminal::is_dumb() {
        let message = "`ctl top` draws on a terminal, and this is none";
        return Err(Error::new(Kind::Usage, message)
            .hint("for pipes and programs: ctl status --usage, or ctl events -f"));
    }
    // An unknown name, or a supervisor that is down, is told before the screen is taken.
    let path = client::service_query::usage_path(names);
    let first: api::StatusReply = context.client.get(&path).await?;
    let (sender, mut messages) = mpsc::channel(MESSAGES_MAX);
    let signals = terminal::signals(sender.clone())?;
    let mut screen = Screen::take()?;
    terminal::read_keys(sender.clone());
    let mut sources = Sources::new(context.client.clone(), sender, path);
    sources.begin();
    let mut model = Model::new(terminal::speaks_unicode());
    let mut effects = model.update(Msg::Status(Box::new(first)));
    let mut drawn: Option<Instant> = None;
    let code = loop {
        for effect in effects.drain(..) {
            match effect {
                Effect::Quit => return Ok(0),
                effect => sources.carry_out(effect),
            }
        }
        let due = drawn.map_or_else(Instant::now, |at| at + PICTURE_PAUSE);
        if Instant::now() >= due {
            screen.draw(|frame| view::draw(&mut model, frame))?;
            drawn = Some(Instant::now());
        }
        let next = if model.is_stale() {
            tokio::time::timeout_at(due, messages.recv()).await
        } else {
            Ok(messages.recv().await)
        };
        match next {
            Ok(Some(Msg::Signal(number))) => break 128 + number,
            Ok(Some(message)) => {
                if matches!(message, Msg::Key(_) | Msg::Resized) {
                    drawn = None;
                }
                effects = model.update(message);
                while effects.is_empty()
                    && let Ok(message) = messages.try_recv()
                {
                    if let Msg::Signal(number) = message {
                        drop(signals);
                        return Ok(128 + number);
                    }
                    effects = model.update(message);
                }
            }
            // Sources live as long as this does.
            Ok(None) => break 0,
            // Nothing new: draw what has gathered.
            Err(_) => {}
        }
    };
    Ok(code)
}
