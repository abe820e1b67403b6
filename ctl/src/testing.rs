//! Runs `ctl` in a test, alone or against a supervisor that answers what the test says.

pub(crate) use client::testing::{
    Answer, Ran, every_state, exit, result, root, service, socket_of, supervisor,
};

/// A supervisor that gives each connection its answer, in order.
pub(crate) struct Fake(client::testing::Fake);

impl Fake {
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        Self(client::testing::Fake::new(answers))
    }

    /// Runs ctl against this supervisor.
    pub(crate) fn ctl(&self, line: &str) -> Ran {
        let root = self.root().display();
        ctl(&format!("ctl --root {root} {line}"))
    }

    /// The supervisor's root.
    pub(crate) fn root(&self) -> &std::path::Path {
        self.0.root.path()
    }

    /// The requests that came: first line, and body after a space.
    pub(crate) fn requests(self) -> Vec<String> {
        self.0.requests()
    }
}

/// Runs a whole command line in this process.
pub(crate) fn ctl(line: &str) -> Ran {
    client::testing::ran(crate::run, line)
}

/// [`ctl`] with a stdout that nobody reads; returns the exit code.
pub(crate) fn ctl_unread(line: &str) -> u8 {
    client::testing::ran_unread(crate::run, line)
}
