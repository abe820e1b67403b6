//! The control process over a re-exec of the keeper: the same process, link and programs.

use std::{fs::File, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    Control,
    liveness::Liveness,
    standing::{SavedStanding, Standing},
    successor::Retired,
};
use crate::{
    inheritance::{Inherited, Keeping, Number},
    link::{Link, SavedLink},
    poller::{Poller, Source},
};
use std::os::fd::OwnedFd;

/// The control process in charge, and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedControl {
    binary: Number,
    path: PathBuf,
    pid: Option<i32>,
    link: Option<SavedLink>,
    /// Killed ones that have not been reaped, each with its link.
    retired: Vec<(i32, Option<Number>)>,
    deaths: u32,
    standing: SavedStanding,
}

impl Control {
    /// For the next image of this process. There is no successor, and the link has taken all that
    /// was said.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedControl {
        let retired = self.retired.iter();
        SavedControl {
            binary: keeping.keep(&self.binary),
            path: self.path.clone(),
            pid: self.pid,
            link: self.link.as_ref().map(|link| link.saved(keeping)),
            retired: retired
                .map(|it| (it.pid, it.link.as_ref().map(|link| keeping.keep(link))))
                .collect(),
            deaths: self.deaths,
            standing: self.standing.saved(keeping),
        }
    }

    /// As an earlier image of this process had it. Questions to the control process begin anew.
    pub(crate) fn resume(
        saved: SavedControl,
        inherited: &mut Inherited,
        poller: &Poller,
        (stdout, stderr): (OwnedFd, OwnedFd),
    ) -> io::Result<Self> {
        let link = saved.link.map(|link| Link::resume(link, inherited));
        let link = link.transpose()?;
        if let Some(link) = &link {
            poller.watch(link, Source::Link);
        }
        let retired = saved.retired.into_iter().map(|(pid, link)| {
            let link = inherited.take_any(link)?;
            Ok::<_, io::Error>(Retired::new(pid, link.map(Link::new)))
        });
        let retired = retired.collect::<Result<_, _>>()?;
        Ok(Self {
            binary: inherited.take_file(saved.binary)?,
            path: saved.path,
            stdout,
            stderr,
            pid: saved.pid,
            // Bytes may have been read of a frame that is not complete.
            more: link.is_some(),
            link,
            successor: None,
            retired,
            deaths: saved.deaths,
            liveness: Liveness::new(),
            standing: Standing::resume(saved.standing, inherited)?,
            writing: false,
        })
    }

    /// The next control process runs this program, and there is none to go back to: earlier ones
    /// speak another version of the messages.
    pub(crate) fn runs_from_now_on(&mut self, program: File) {
        self.binary = program;
        self.standing.earlier = None;
    }

    /// Whether all that was said to the control process is in its socket.
    pub(crate) fn has_said_all(&self) -> bool {
        self.link.as_ref().is_none_or(|link| !link.wants_write())
    }

    /// Path at which the daemon's program was when it was started.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}
