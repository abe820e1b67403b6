//! `[[asserts]]`: what must hold on this host for an enabled service to make sense.
//!
//! `path_exists` and `path_missing` are paths, `that` is a template that gives true or false; what
//! is given must hold, else `message` is reported, with `hint` where there is one: as an error, or
//! as `level` says (`warning`, `note`). It is reported at the line of the site file that `about`
//! names (a setting of the service, `SERVICE.KEY`, a top-level key, or `environment.NAME`, a
//! variable of the service), or at the one that enables the service. Behind an error the rest is
//! not reported. A disabled service asserts nothing.
//!
//! Its templates have `environment` too: the variables that the service gets, wherever they come
//! from, without those that may be secret.

use std::path::Path;

use crate::{
    model::Service,
    read::{
        fields::Fields,
        ident::ident,
        typed::{Type, Typed},
    },
    report::{place::Place, problem::Severity},
    resolve::locals::{ENVIRONMENT, Locals},
    service::{
        key::{Key, KeyTable},
        reader::Reader,
        tables::tables,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "asserts",
    doc: "what must hold on this host where it is enabled",
    // Once the environment is known, which asserts see.
    check: asserts,
    tables: &[KeyTable {
        header: "[[asserts]]",
        intro: "What does not hold is reported where the site file enables the service.",
        keys: &[
            ("path_exists, path_missing", "paths"),
            (
                "that",
                "a template that gives true or false; `environment` in it has the variables of the service, but for those that may be secret",
            ),
            ("message, hint", "what is said"),
            ("level", "`error` (default), `warning` or `note`"),
            (
                "about",
                "the key at whose line it is said, or `environment.NAME` for the line of a variable",
            ),
        ],
    }],
    ..Key::IDLE
}];

/// Checks the asserts of a service.
fn asserts(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &mut Service) {
    reader.locals = Locals::environment(service.env.iter());
    let mut refused = false;
    for fields in tables(reader, fields, "asserts") {
        let failed = assert(reader, fields);
        // Asserts behind one that failed mostly fail because of it.
        let Some(failed) = failed.filter(|_| !refused) else {
            continue;
        };
        refused = failed.level == Severity::Error;
        let about = failed.about.as_deref();
        let place = variable(reader, about).unwrap_or_else(|| place(reader, &service.name, about));
        let (place, key) = place;
        let report = reader.report();
        let problem = match failed.level {
            Severity::Error => report.error(&place, key, failed.message),
            Severity::Warning => report.warning(&place, key, failed.message),
            Severity::Note => report.note(&place, key, failed.message),
        };
        problem.hint_some(failed.hint);
    }
    reader.locals = Locals::NONE;
}

/// Where a variable was written that an assert is about.
fn variable(reader: &Reader<'_, '_>, about: Option<&str>) -> Option<(Place, String)> {
    let name = about?.strip_prefix(ENVIRONMENT)?.strip_prefix('.')?;
    let written = reader.written.get(name)?;
    Some((written.at.clone(), written.key.clone()))
}

/// An assert that does not hold.
struct Failed {
    level: Severity,
    about: Option<String>,
    message: String,
    hint: Option<String>,
}

fn assert(reader: &mut Reader<'_, '_>, mut fields: Fields<'_>) -> Option<Failed> {
    let mut asked = false;
    let mut holds = true;
    for (key, wanted) in [("path_exists", true), ("path_missing", false)] {
        asked |= fields.entry(key).is_some();
        if let Some(path) = reader.path_key(&mut fields, key, false) {
            holds &= is_there(reader, &path) == wanted;
        }
    }
    asked |= fields.entry("that").is_some();
    if let Some(that) = reader.bool_key(&mut fields, "that") {
        holds &= that;
    }
    let about = reader.text_key(&mut fields, "about");
    let levels = [
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("note", Severity::Note),
    ];
    let level = reader.word_key(&mut fields, "level", &levels);
    let hint = words(reader, &mut fields, "hint");
    let message = words(reader, &mut fields, "message");
    let at = fields.at.clone();
    for (missing, what) in [
        (!asked, "needs path_exists, path_missing or that"),
        (fields.entry("message").is_none(), "needs a message"),
    ] {
        if missing {
            reader.report().error(&at, "asserts", what);
        }
    }
    reader.finish(fields);
    Some(Failed {
        level: level.unwrap_or(Severity::Error),
        about,
        message: message.filter(|_| !holds && reader.render)?,
        hint,
    })
}

/// Whether the path exists; a link that leads nowhere does.
fn is_there(reader: &Reader<'_, '_>, path: &Path) -> bool {
    let host = reader.resolver.host;
    host.exists(path) || host.is_link(path)
}

/// Words for people: nothing secret may get into them.
fn words(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<String> {
    let node = fields.node(key)?;
    let dotted = fields.key(key);
    match reader.typed(node, &dotted, Type::Text, false)? {
        (Typed::Text(_), true) => {
            let message = "would show a secret";
            reader.report().error(&node.at, dotted, message);
            None
        }
        (value, _) => Some(value.text()),
    }
}

/// Where the site file says what the assert is about, and by which key.
fn place(reader: &Reader<'_, '_>, name: &str, about: Option<&str>) -> (Place, String) {
    let resolver = &reader.resolver;
    let site = resolver.site;
    if let Some(about) = about {
        let (namespace, key) = about.split_once('.').unwrap_or((name, about));
        let schema = resolver.schema;
        let canonical = schema.canonical(namespace).map(|(canonical, _)| canonical);
        let setting =
            canonical.and_then(|namespace| site.settings.get(&(namespace, key.to_owned())));
        let given = setting.or_else(|| site.keys.get(about));
        let switched = || {
            resolver
                .switched(&ident(namespace))
                .filter(|_| key == "enable")
        };
        let at = given.map(|given| &given.at);
        if let Some(at) = at.or_else(|| switched().map(|(_, at)| at)) {
            let shown = if site.keys.contains_key(about) {
                about.to_owned()
            } else {
                format!("{namespace}.{key}")
            };
            return (at.clone(), shown);
        }
    }
    if let Some((_, at)) = resolver.switched(&reader.namespace) {
        return (at.clone(), format!("{name}.enable"));
    }
    let role = site.roles.iter().find(|(role, _)| {
        let role = resolver.schema.roles.get(role);
        role.is_some_and(|role| role.enable.iter().any(|it| ident(it) == reader.namespace))
    });
    match role {
        Some((_, at)) => (at.clone(), format!("roles: {name}")),
        None => (Place::whole(&site.path), name.to_owned()),
    }
}
