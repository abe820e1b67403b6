//! `[variables]` of a service file: the variables that a program knows, and whether those that its
//! service gets are among them.
//!
//! Many programs silently ignore a variable that they do not know, and a value that they
//! cannot read. For such a program the catalogue has a table of what it knows (form: `table`), and
//! every variable of the service that begins with `prefix` is checked against it, and reported
//! where the administrator wrote it. A variable without effect is a warning; one that the program
//! dies of is an error. The table is read only for an enabled service and nothing of it is kept.

use std::collections::BTreeMap;

use super::name::Names;
use super::{
    table::{Row, VariableTable},
    version::Version,
};
use crate::{
    model::Variable,
    read::{
        document::Node,
        expression::is_template,
        fields::Fields,
        secrecy::{self, Secrecy},
    },
    report::problem::{Report, Severity},
    resolve::{
        locals::Locals,
        outcome::{Eval, TemplateSource},
    },
    service::{
        env::{
            visibility,
            written::{Environment, Written},
        },
        reader::Reader,
    },
};

/// Whether a text is right for the column `dies`.
#[cfg(test)]
pub(crate) fn is_death(text: &str) -> bool {
    super::death::Death::read(text).is_some()
}

/// The keys of `[variables]`.
#[derive(Debug, Default)]
struct Rules {
    /// Prefix of the names that are checked; upper case.
    prefix: String,
    /// The installed version, where it is known.
    version: Option<Version>,
    /// Names that are not checked; a `*` at the end stands for anything. Upper case.
    ignore: Vec<String>,
    /// Names whose values anybody may see, in the same way.
    public: Vec<String>,
}

impl Rules {
    fn concern(&self, name: &str) -> bool {
        let ignored = |pattern: &String| secrecy::names(pattern, name);
        name.starts_with(&self.prefix) && !self.ignore.iter().any(ignored)
    }

    /// The secrecy of a variable by these rules and the table; none: neither knows it.
    fn secrecy(&self, table: Option<&VariableTable<'_>>, upper: &str) -> Option<Secrecy> {
        let row = table.and_then(|table| {
            let found = table.lines().find(|(name, _)| *name == upper);
            found.and_then(|(_, line)| Row::read(line))
        });
        let public = || self.public.iter().any(|it| secrecy::names(it, upper));
        row.map(|row| row.secrecy)
            .or_else(|| public().then_some(Secrecy::Public))
    }
}

/// Reads `[variables]`; classifies and checks the environment, if there is one.
pub(crate) fn check(
    reader: &mut Reader<'_, '_>,
    service: &str,
    fields: &mut Fields<'_>,
    environment: Option<&mut Environment>,
) {
    let Some(mut fields) = fields.table("variables", reader.report()) else {
        classify(reader, environment, &Rules::default(), None);
        return;
    };
    let rules = rules(reader, &mut fields);
    let table = fields.node("table");
    let key = fields.key("table");
    let name = table.and_then(|node| reader.text(node, &key));
    let alone = rules.prefix.is_empty() && table.is_none() && !rules.public.is_empty();
    for (missing, key) in [
        (rules.prefix.is_empty(), "prefix"),
        (table.is_none(), "table"),
    ] {
        if missing && !alone {
            let key = fields.key(key);
            reader.report().error(&fields.at, key, "is missing");
        }
    }
    reader.finish(fields);
    let Some(environment) = environment else {
        return;
    };
    // The table lies on the search path of templates.
    let text = name.zip(table).and_then(|(name, node)| {
        let resolver = &mut *reader.resolver;
        let (host, places) = (resolver.host, &resolver.search_path);
        let found = places.read(host, resolver.report, "file", &name, &node.at, &key);
        found.map(|(_, text)| text)
    });
    let table = text.as_deref().map(VariableTable);
    classify(reader, Some(environment), &rules, table.as_ref());
    if let Some(table) = table.filter(|_| !rules.prefix.is_empty()) {
        let checker = Checker {
            service,
            rules: &rules,
            table: &table,
            report: reader.report(),
        };
        checker.all(environment);
    }
}

/// Classifies each variable of an env map. A secret that others can read in the
/// site file is an error.
fn classify(
    reader: &mut Reader<'_, '_>,
    environment: Option<&mut Environment>,
    rules: &Rules,
    table: Option<&VariableTable<'_>>,
) {
    let Some(environment) = environment else {
        return;
    };
    let secrets = visibility::classify(environment, |name| rules.secrecy(table, name));
    let (site, host) = (reader.resolver.site, reader.resolver.host);
    // A secret that was found earlier is reported already.
    let first = secrets.first().filter(|_| site.secret.is_none());
    if let Some(written) = first.and_then(|name| environment.written.get(name)) {
        site.check_mode_for(host, &written.key, &written.at, reader.report());
    }
}

fn rules(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Rules {
    let prefix = reader.text_key(fields, "prefix").unwrap_or_default();
    let mut names = |key| {
        let list = reader.list_key(fields, key).unwrap_or_default();
        list.iter().map(|it| it.to_ascii_uppercase()).collect()
    };
    let (ignore, public) = (names("ignore"), names("public"));
    let key = fields.key("version");
    let version = fields
        .node("version")
        .and_then(|node| version(reader, node, &key));
    Rules {
        prefix: prefix.to_ascii_uppercase(),
        ignore,
        public,
        version,
    }
}

/// The installed version. An unknown version is no error.
fn version(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<Version> {
    let Some(text) = node.text() else {
        let message = format!("must be a string, not {}", node.what());
        reader.report().error(&node.at, key, message);
        return None;
    };
    if !is_template(text) {
        return Version::parse(text);
    }
    if !reader.render {
        reader.eval(text, TemplateSource::Value(&node.at), key, true);
        return None;
    }
    let namespace = reader.namespace.clone();
    match reader.resolver.eval(
        &namespace,
        text,
        TemplateSource::Value(&node.at),
        key,
        &Locals::NONE,
    ) {
        Eval::Set { value, .. } => Version::parse(&value.to_string()),
        Eval::Unset { .. } | Eval::Broken(_) | Eval::Failed => None,
    }
}

/// One variable of the service that the table is asked about.
struct Asked<'e> {
    name: &'e str,
    variable: &'e Variable,
    written: &'e Written,
}

/// Reports what is wrong with variables.
struct Checker<'j> {
    service: &'j str,
    rules: &'j Rules,
    table: &'j VariableTable<'j>,
    report: &'j mut Report,
}

impl Checker<'_> {
    fn all(mut self, environment: &Environment) {
        let mut asked: BTreeMap<String, Asked<'_>> = BTreeMap::new();
        for (name, variable) in &environment.variables {
            let upper = name.to_uppercase();
            let Some(written) = environment
                .written
                .get(name)
                .filter(|_| self.rules.concern(&upper))
            else {
                continue;
            };
            let one = Asked {
                name,
                variable,
                written,
            };
            if let Some(twin) = asked.get(&upper) {
                let message = format!(
                    "{} is the same variable to the program, which takes one of the two",
                    twin.name
                );
                self.say(
                    Severity::Warning,
                    &one,
                    message,
                    Some("remove one of them".to_owned()),
                );
            }
            asked.insert(upper, one);
        }
        // One pass over the table, which is long, with the few that are asked about.
        let mut found: BTreeMap<&str, Row<'_>> = BTreeMap::new();
        for (name, line) in self.table.lines() {
            if let Some((upper, _)) = asked.get_key_value(name)
                && let Some(row) = Row::read(line)
            {
                found.insert(upper, row);
            }
        }
        for (upper, one) in &asked {
            match found.get(upper.as_str()) {
                None => self.unknown(upper, one),
                Some(row) if row.never() => self.never(one, row),
                Some(row) => {
                    self.age(one, row);
                    self.value(one, row);
                }
            }
        }
    }

    fn say(&mut self, severity: Severity, one: &Asked<'_>, message: String, hint: Option<String>) {
        let Written { at, key, .. } = one.written;
        // Where the key is a setting's, say which variable is meant.
        let message = if key.ends_with(one.name) {
            message
        } else {
            format!("{}: {message}", one.name)
        };
        let problem = match severity {
            Severity::Error => self.report.error(at, key, message),
            Severity::Warning => self.report.warning(at, key, message),
            Severity::Note => self.report.note(at, key, message),
        };
        problem.hint_some(hint);
        problem.variable = Some((self.service.to_owned(), one.name.to_owned()));
    }

    fn unknown(&mut self, upper: &str, one: &Asked<'_>) {
        let names = Names::of(self.table);
        let (message, hint) = if let Some(whole) = names.beginning(upper) {
            let message = format!("counts as {whole}: what follows that name is not looked at");
            (message, Some(format!("write {whole}")))
        } else {
            let near = names.near(upper);
            let sure = upper.as_bytes().get(self.rules.prefix.len()) == Some(&b'_');
            if near.is_none() && !sure {
                // The name shares the prefix by chance.
                return;
            }
            let message = "is not known in any version, and has no effect".to_owned();
            let hint = near.map(|near| format!("did you mean {near}?"));
            (message, hint)
        };
        self.say(Severity::Warning, one, message, hint);
    }

    fn never(&mut self, one: &Asked<'_>, row: &Row<'_>) {
        let right = row.note;
        let never = "never was a variable of any version, and has no effect";
        let gone = self.table.rows().find(|other| other.name == right);
        let (message, hint) = match gone.and_then(|row| row.until) {
            Some(gone) => (
                format!(
                    "{never}; {right}, which is meant, was dropped after {}",
                    gone.before
                ),
                "remove it".to_owned(),
            ),
            None => (never.to_owned(), format!("write {right}")),
        };
        self.say(Severity::Warning, one, message, Some(hint));
    }

    /// Whether the installed version has it. What the service file itself sets is for every
    /// version.
    fn age(&mut self, one: &Asked<'_>, row: &Row<'_>) {
        if !one.written.given {
            return;
        }
        let said = match self.rules.version {
            Some(installed) => row.age(installed),
            None => row.until.map(|until| {
                let message = format!(
                    "newer versions have dropped it: {} still had it, {} has not",
                    until.before, until.after
                );
                (Severity::Note, message)
            }),
        };
        let Some((severity, message)) = said else {
            return;
        };
        let hint = row.until.map(|_| match row.note {
            "" => "remove it".to_owned(),
            name if !name.contains(' ') => format!("write {name}"),
            note => note.to_owned(),
        });
        self.say(severity, one, message, hint);
    }

    /// Whether it can be read. What the installed version does not have it does not read.
    fn value(&mut self, one: &Asked<'_>, row: &Row<'_>) {
        let installed = self.rules.version;
        if row.lacked_by(installed) {
            return;
        }
        let (shown, death) = (!one.variable.is_hidden(), row.death(installed));
        if let Some(trouble) = super::value::check(row, death, &one.variable.value, shown) {
            let severity = if trouble.fatal {
                Severity::Error
            } else {
                Severity::Warning
            };
            self.say(severity, one, trouble.message, trouble.hint);
        }
    }
}
