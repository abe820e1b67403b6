//! Gathers the frames of a hello into one [`Hello`].
//!
//! Each record and each run has a frame of its own, so that no number of them outgrows a frame: a
//! record came in a longer one ([`crate::message::Request::Remember`]), and what a run has said is
//! bounded by the keys that are heard. The keeper sends them as the link takes them.

use std::os::fd::OwnedFd;

use crate::message::{Hello, Notice};

/// Gathers the frames of one hello.
#[derive(Debug, Default)]
pub struct Gathering {
    hello: Option<(Hello, Vec<OwnedFd>)>,
    ended: bool,
}

impl Gathering {
    /// Takes in a frame; gives back one that is not part of the hello.
    pub fn take(&mut self, notice: Notice, fds: Vec<OwnedFd>) -> Option<(Notice, Vec<OwnedFd>)> {
        if self.ended {
            return Some((notice, fds));
        }
        match (notice, &mut self.hello) {
            (Notice::Hello(hello), hello_of @ None) => *hello_of = Some((*hello, fds)),
            (Notice::Record { service, record }, Some((hello, _))) => {
                hello.records.insert(service, record);
            }
            (Notice::Run(run), Some((hello, _))) => hello.runs.push(*run),
            (Notice::Fact(numbered), Some((hello, _))) => hello.facts.push(numbered),
            (Notice::HelloEnd, Some(_)) => self.ended = true,
            (other, _) => return Some((other, fds)),
        }
        None
    }

    /// The hello and its descriptors, once its end has come.
    pub fn finish(&mut self) -> Option<(Hello, Vec<OwnedFd>)> {
        self.ended.then(|| self.hello.take()).flatten()
    }
}
