//! The results of resolution: what a name means, what value it has, what a text evaluates to.

use minijinja::Value;

use crate::{read::typed::Typed, report::place::Place, resolve::template_file::TemplateFile};

/// Meaning of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Builtin(String),
    Key(String),
    /// Identifier of the namespace, and setting.
    Setting(String, String),
    /// The part of a service's name behind `@`.
    Instance(String),
    /// `SERVICE.enable`; the identifier of the service.
    Enable(String),
    /// `.enable` of what cannot run here: false.
    Off,
    /// All settings of a namespace.
    Whole(String),
    /// A name of a service whose file could not be read.
    Unreadable,
}

/// The value of a name.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Set {
        value: Typed,
        secret: bool,
    },
    /// Declared, but without value. `missing`: what was looked for on this host and not found.
    Unset {
        missing: Option<String>,
    },
    /// The reason has been reported.
    Failed,
}

/// The value of a text.
#[derive(Debug)]
pub(crate) enum Eval {
    Set {
        value: Value,
        secret: bool,
    },
    Unset {
        missing: Option<String>,
    },
    /// The text needs something that is missing on this host.
    Broken(String),
    Failed,
}

/// Where a template is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TemplateSource<'a> {
    Value(&'a Place),
    File(&'a TemplateFile),
}

impl TemplateSource<'_> {
    pub(crate) fn place(self, text: &str, offset: usize) -> Place {
        match self {
            Self::Value(at) => at.inside(text, offset),
            Self::File(file) => file.main.place(offset),
        }
    }
}
