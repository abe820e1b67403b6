//! Runs `ctl` in a test, alone or against a supervisor that says what it is told.

pub(crate) use client::testing::{
    Answer, Ran, every_state, exit, result, root, service, socket_of, supervisor,
};

/// A supervisor that gives each connection its answer, in order.
pub(crate) struct Fake(client::testing::Fake);

impl Fake {
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        Self(client::testing::Fake::new(answers))
    }

    /// Runs ctl against it.
    pub(crate) fn ctl(&self, line: &str) -> Ran {
        let root = self.root().display();
        ctl(&format!("ctl --root {root} {line}"))
    }

    /// Its root.
    pub(crate) fn root(&self) -> &std::path::Path {
        self.0.root.path()
    }

    /// The requests it got: first line, and body after a space.
    pub(crate) fn requests(self) -> Vec<String> {
        self.0.requests()
    }
}

/// Runs a whole command line in this process.
pub(crate) fn ctl(line: &str) -> Ran {
    client::testing::ran(crate::run, line)
}

/// The same, with a stdout that nobody reads.
pub(crate) fn ctl_unread(line: &str) -> u8 {
    client::testing::ran_unread(crate::run, line)
}
