//! One key at the top of a service file, with all that the program has to say of it.
//!
//! Each file of this folder has a list of its keys beside what reads them; [`super::keys`] joins
//! the lists. What is read, compared, described, documented and proposed for a misspelled key
//! follows from the list, so a new key is one entry and one field of [`Service`].

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use api::PlanImpact;

use crate::{
    model::Service,
    read::fields::Fields,
    service::{described::Described, reader::Reader},
};

/// Reads a key into the service, or checks it against the others.
pub(crate) type Step = fn(&mut Reader<'_, '_>, &mut Fields<'_>, &mut Service);

/// A key of a service file.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// As a service file writes it.
    pub(crate) name: &'static str,
    /// The line of the reference.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the reference is written by a test")
    )]
    pub(crate) doc: &'static str,
    /// Reads it. Keys are read in their order: a reader may use the fields of those before it.
    pub(crate) read: Step,
    /// Checks it against other keys, once all are read.
    pub(crate) check: Step,
    /// Whether the value of a disabled service is known too.
    pub(crate) of_disabled: bool,
    /// Says its value, as a service file would.
    pub(crate) describe: fn(&Service, &mut Described),
    /// Says what differs between two plans, and what that means for a process that runs.
    pub(crate) compare: fn(&Service, &Service, &mut Differences),
    /// The tables that the key opens, for the reference.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the reference is written by a test")
    )]
    pub(crate) tables: &'static [KeyTable],
}

/// A table of a service file, for the reference.
#[derive(Clone, Copy)]
pub(crate) struct KeyTable {
    /// As its header is written: `[ready]`.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the reference is written by a test")
    )]
    pub(crate) header: &'static str,
    /// The text above the keys; may be empty.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the reference is written by a test")
    )]
    pub(crate) intro: &'static str,
    /// Keys, those of one kind joined by `, `, and what they are.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the reference is written by a test")
    )]
    pub(crate) keys: &'static [(&'static str, &'static str)],
}

impl Key {
    /// A key without any effect of its own.
    pub(crate) const IDLE: Self = Self {
        name: "",
        doc: "",
        read: |_, _, _| {},
        check: |_, _, _| {},
        of_disabled: false,
        describe: |_, _| {},
        compare: |_, _, _| {},
        tables: &[],
    };
}

/// Differences between two plans of a service: each with its effect and its name. Never shows a
/// value.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) reasons: Vec<(PlanImpact, String)>,
    /// Rendered files that a reason is about.
    pub(crate) files: BTreeSet<PathBuf>,
}

impl Differences {
    /// Something differs, in the words of a reason: `env MM_X changed`.
    pub(crate) fn add(&mut self, impact: PlanImpact, reason: impl Into<String>) {
        self.reasons.push((impact, reason.into()));
    }

    /// Something has happened to a rendered file.
    pub(crate) fn file(&mut self, impact: PlanImpact, path: &Path, what: &str) {
        self.add(impact, format!("file {} {what}", path.display()));
        self.files.insert(path.to_owned());
    }

    /// `what changed`, where it has.
    pub(crate) fn changed(&mut self, impact: PlanImpact, what: &str, differs: bool) {
        if differs {
            self.add(impact, format!("{what} changed"));
        }
    }
}

/// A key whose value is the field of its name. The third argument reads it, as a function of the
/// reader, the fields and the key's name: `field!(nice, Restart, "…", |reader, fields, key| …)`.
/// Without an impact, no difference of the key matters by itself.
macro_rules! field {
    ($field:ident, $impact:ident, $doc:literal, $($read:tt)+) => {
        Key {
            compare: $crate::service::key::compare!($field, $impact),
            ..$crate::service::key::field!($field, $doc, $($read)+)
        }
    };
    ($field:ident, $doc:literal, |$reader:ident, $fields:ident, $key:ident| $value:expr) => {
        Key {
            name: stringify!($field),
            doc: $doc,
            read: |$reader, $fields, service| {
                let $key = stringify!($field);
                service.$field = $value;
            },
            describe: |service, out| out.put(stringify!($field), &service.$field),
            ..Key::IDLE
        }
    };
    ($field:ident, $doc:literal, $read:path) => {
        $crate::service::key::field!($field, $doc, |reader, fields, key| $read(reader, fields, key))
    };
}
pub(crate) use field;

/// A key that is `false` where it is not there, and shown where it is `true`.
macro_rules! flag {
    ($field:ident, $impact:ident, $doc:literal) => {
        Key {
            describe: |service, out| out.when(stringify!($field), service.$field),
            ..$crate::service::key::field!($field, $impact, $doc, |reader, fields, key| {
                reader.bool_key(fields, key).unwrap_or(false)
            })
        }
    };
}
pub(crate) use flag;

/// The comparison of a key by the field of its name: `compare!(umask, Restart)`.
macro_rules! compare {
    ($field:ident, $impact:ident) => {
        |old, new, out| {
            let impact = api::PlanImpact::$impact;
            out.changed(impact, stringify!($field), old.$field != new.$field);
        }
    };
}
pub(crate) use compare;
