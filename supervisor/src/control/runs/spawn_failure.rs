//! Why the keeper could not start a process, in words that say what to look at. Pure.

use std::path::Path;

use engine::Detail;
use keeper::message::SpawnStage;
use nix::errno::Errno;

use crate::control::Context;

/// The keeper refuses to start a run beside what is left of another: of an earlier run, or of a run
/// of an earlier daemon.
pub(super) const fn is_over_leftovers(stage: SpawnStage) -> bool {
    matches!(stage, SpawnStage::Unswept | SpawnStage::Leftovers)
}

/// Directory and account of a service, with hints for what is missing there.
pub(super) struct Place<'a> {
    dir: &'a Path,
    account: &'a str,
    hint: &'a str,
}

impl<'a> Place<'a> {
    /// The place of a service, from its plan.
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
    stage: SpawnStage,
    error: Errno,
    program: &str,
    place: Option<&Place<'_>>,
) -> Detail {
    let what = match stage {
        // The keeper has killed its process; the errno's own words are about connections.
        SpawnStage::Exec if error == Errno::ETIMEDOUT => {
            return format!(
                "did not get as far as executing {program}: its process was stopped by another, or its file system \
                 does not answer"
            )
            .into();
        }
        SpawnStage::Exec => format!("cannot execute {program}"),
        SpawnStage::Chdir => cannot_enter(error, place),
        SpawnStage::Record => "cannot write the run's record".to_owned(),
        SpawnStage::Notify => {
            "cannot make its notify socket (the daemon's log says more)".to_owned()
        }
        stage => format!("cannot start it (stage {stage})"),
    };
    let missing = error == Errno::ENOENT && matches!(stage, SpawnStage::Exec | SpawnStage::Chdir);
    let hint = place.filter(|_| missing).map_or("", |it| it.hint);
    Detail {
        what: format!("{what}: {}", error.desc()),
        hint: hint.to_owned(),
        address_in_use: false,
    }
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
            say(SpawnStage::Chdir, Errno::EACCES),
            "cannot enter its working directory /srv/a as web: Permission denied".into()
        );
        let denied = say(SpawnStage::Exec, Errno::EACCES);
        assert!(denied.what.starts_with("cannot execute /bin/web: "));
        assert_eq!(denied.hint, "");
        assert_eq!(say(SpawnStage::Exec, Errno::ENOENT).hint, place.hint);
        let stuck = say(SpawnStage::Exec, Errno::ETIMEDOUT);
        assert!(!stuck.what.contains("Connection"));
    }
}
