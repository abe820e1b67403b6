//! Why the keeper could not start a process, in words that say what to look at. Pure.

use std::path::Path;

use keeper::message;
use nix::errno::Errno;

use crate::{control::Context, port_owner};

/// Stages of a spawn that the keeper refuses, because something is left: of an earlier run, or of a
/// run of an earlier daemon.
const OVER_LEFTOVERS: [&str; 2] = [message::UNSWEPT, message::LEFTOVERS];

/// The keeper refuses to start a run beside what is left of another.
pub(super) fn is_over_leftovers(stage: &str) -> bool {
    OVER_LEFTOVERS.contains(&stage)
}

/// Where a service runs, as whom, and what brings what is missing there.
pub(super) struct Place<'a> {
    dir: &'a Path,
    account: &'a str,
    hint: &'a str,
}

impl<'a> Place<'a> {
    /// Of a service, by its plan.
    pub(super) fn of(service: &'a plan::Service, cx: &'a Context) -> Self {
        let account = service.user.as_deref().filter(|_| cx.own.is_root);
        Self {
            dir: &service.working_dir,
            account: account.unwrap_or(&cx.own.user),
            hint: &service.command_hint,
        }
    }
}

/// Stage and error in words.
pub(super) fn reason(
    stage: &str,
    error: Errno,
    program: &str,
    place: Option<&Place<'_>>,
) -> String {
    let what = match stage {
        // The keeper has killed its process; the errno's own words are about connections.
        "exec" if error == Errno::ETIMEDOUT => {
            return format!(
                "did not get as far as executing {program}: its process was stopped by another, or its file system \
                 does not answer"
            );
        }
        "exec" => format!("cannot execute {program}"),
        "chdir" => cannot_enter(error, place),
        "record" => "cannot write the run's record".to_owned(),
        "notify" => "cannot make its notify socket (the daemon's log says more)".to_owned(),
        stage => format!("cannot start it (stage {stage})"),
    };
    let reason = format!("{what}: {}", error.desc());
    let missing = error == Errno::ENOENT && matches!(stage, "exec" | "chdir");
    let hint = place.filter(|_| missing).map_or("", |it| it.hint);
    port_owner::with_hint(reason, hint)
}

fn cannot_enter(error: Errno, place: Option<&Place<'_>>) -> String {
    let Some(Place { dir, account, .. }) = place else {
        return "cannot enter its working directory".to_owned();
    };
    let dir = dir.display();
    if error == Errno::EACCES {
        format!("cannot enter its working directory {dir} as {account}")
    } else {
        format!("cannot enter its working directory {dir}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_what_to_look_at_and_hints_at_what_is_missing_alone() {
        let place = Place {
            dir: Path::new("/srv/a"),
            account: "web",
            hint: "install the package web",
        };
        let say = |stage, error| reason(stage, error, "/bin/web", Some(&place));
        assert_eq!(
            say("chdir", Errno::EACCES),
            "cannot enter its working directory /srv/a as web: Permission denied"
        );
        assert!(say("exec", Errno::EACCES).starts_with("cannot execute /bin/web: "));
        assert!(!say("exec", Errno::EACCES).contains(place.hint));
        assert!(say("exec", Errno::ENOENT).contains(place.hint));
        assert!(!say("exec", Errno::ETIMEDOUT).contains("Connection"));
    }
}
