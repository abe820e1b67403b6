//! Values of names: settings, top-level keys, built-ins and `.enable`, each worked out once, in
//! the order in which they need one another.

use std::{collections::BTreeMap, path::Path};

use minijinja::{ErrorKind, Value};

use crate::{
    declare::schema::{Namespace, Schema, Switch},
    host::machine::Host,
    model::{MissingSecret, Paths},
    read::{
        expression::{is_template, lone, lone_name},
        ident::ident,
        typed::Typed,
    },
    report::{place::Place, problem::Report},
    resolve::{
        context::Context,
        locals::Locals,
        origins::Origins,
        outcome::{Eval, Name, Outcome, TemplateSource},
        search_path::SearchPath,
        template::{Templates, explain, innermost},
    },
    site::values::Site,
};

/// Longest chain of settings whose defaults use each other; each link takes stack.
const MAX_DEPTH: usize = 64;

/// Works out values.
pub(crate) struct Resolver<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) schema: &'a Schema,
    pub(crate) site: &'a Site,
    /// Namespaces that declare settings of a service, by identifier of the service.
    pub(crate) declaring: BTreeMap<String, Vec<&'a str>>,
    /// Groups that the site file switches off.
    pub(crate) off_groups: Vec<&'a Namespace>,
    pub(crate) report: &'a mut Report,
    pub(crate) search_path: SearchPath,
    pub(crate) missing_secrets: Vec<MissingSecret>,
    /// Values of settings with `generate`: section, key, value.
    pub(crate) given_secrets: Vec<(String, String, String)>,
    pub(crate) templates: Templates,
    pub(crate) builtins: BTreeMap<&'static str, Typed>,
    pub(crate) memo: BTreeMap<Name, Outcome>,
    pub(crate) stack: Vec<Name>,
    /// Where variables were written, if the caller asks for it.
    pub(crate) origins: Option<Origins>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        host: &'a dyn Host,
        paths: &Paths,
        schema: &'a Schema,
        site: &'a Site,
        report: &'a mut Report,
    ) -> Self {
        let dir = |path: &Path| Typed::Text(path.display().to_string());
        // `{{ root }}/etc` must be right for `/` too.
        let root = paths.root.display().to_string();
        let builtins = BTreeMap::from([
            ("root", Typed::Text(root.trim_end_matches('/').to_owned())),
            ("run_dir", dir(&paths.run_dir)),
            ("state_dir", dir(&paths.state_dir)),
            ("log_dir", dir(&paths.log_dir)),
            ("etc_dir", dir(&paths.etc_dir)),
            ("catalog_dir", dir(&paths.catalog_dir)),
            ("cpus", Typed::Int(i64::from(host.cpus()))),
            (
                "memory_bytes",
                Typed::Int(i64::try_from(host.memory_bytes()).unwrap_or(i64::MAX)),
            ),
            (
                "supervisor_capabilities",
                Typed::List(host.capabilities().into_iter().map(Typed::Text).collect()),
            ),
            ("supervisor_uid", Typed::Int(i64::from(host.uid()))),
            ("supervisor_account", Typed::Text(host.user())),
            ("program_dir", dir(&host.program_dir())),
        ]);
        let mut declaring: BTreeMap<String, Vec<&'a str>> = BTreeMap::new();
        let mut off_groups = Vec::new();
        for (name, namespace) in &schema.namespaces {
            if let Some(service) = &namespace.service
                && namespace.alias_of.is_none()
                && !namespace.settings.is_empty()
            {
                declaring.entry(ident(service)).or_default().push(name);
            }
            let off = site.enable.get(name).is_some_and(|(on, _)| !on);
            if off && matches!(namespace.switch, Switch::Group(_)) {
                off_groups.push(namespace);
            }
        }
        Self {
            host,
            schema,
            site,
            declaring,
            off_groups,
            report,
            search_path: SearchPath::new(paths),
            missing_secrets: Vec::new(),
            given_secrets: Vec::new(),
            templates: Templates::new(),
            builtins,
            memo: BTreeMap::new(),
            stack: Vec::new(),
            origins: None,
        }
    }

    /// Where the site file gives what a dotted name stands for, and its name there.
    pub(crate) fn given(&self, namespace: &str, dotted: &str) -> Option<(Place, String)> {
        let (mut namespace, mut dotted) = (namespace.to_owned(), dotted.to_owned());
        for _ in 0..MAX_DEPTH {
            match self.find(&namespace, &dotted, &Locals::NONE).ok()? {
                Name::Key(key) => {
                    let given = self.site.keys.get(&key)?;
                    return Some((given.at.clone(), key));
                }
                Name::Setting(own, key) => {
                    let owner = &self.schema.namespaces[&own];
                    let place = (own.clone(), key.clone());
                    if let Some(given) = self.site.settings.get(&place) {
                        return Some((given.at.clone(), format!("{}.{key}", owner.name)));
                    }
                    let default = owner.settings[&key].default.as_ref()?;
                    lone_name(default.text()?)?.clone_into(&mut dotted);
                    namespace = own;
                }
                _ => return None,
            }
        }
        None
    }

    /// Evaluates a text in a namespace.
    pub(crate) fn eval(
        &mut self,
        namespace: &str,
        text: &str,
        origin: TemplateSource<'_>,
        key: &str,
        locals: &Locals,
    ) -> Eval {
        let from_file = matches!(origin, TemplateSource::File(_));
        if !from_file && !is_template(text) {
            return Eval::Set {
                value: Value::from(text),
                secret: false,
            };
        }
        let Some(context) = self.context(namespace, text, origin, key, locals) else {
            return Eval::Failed;
        };
        if !from_file
            && let Some(name) = lone_name(text)
            && let Some(missing) = context.unset.get(name)
        {
            return Eval::Unset {
                missing: missing.clone(),
            };
        }
        self.render(namespace, text, origin, key, &context)
    }

    /// The values that a text sees in a namespace. None: a name of it is wrong, which is
    /// reported.
    pub(crate) fn context(
        &mut self,
        namespace: &str,
        text: &str,
        origin: TemplateSource<'_>,
        key: &str,
        locals: &Locals,
    ) -> Option<Context> {
        let names = self.names(namespace, text, origin, key, locals)?;
        let mut context = Context::default();
        for (dotted, name) in &names {
            match name {
                Name::Whole(whole) => {
                    let all: Vec<String> = self.schema.namespaces[whole]
                        .settings
                        .keys()
                        .cloned()
                        .collect();
                    for setting in all {
                        let outcome = self.resolve(&Name::Setting(whole.clone(), setting.clone()));
                        context.add(&format!("{dotted}.{setting}"), 2, outcome);
                    }
                    let service = self.schema.namespaces[whole].service.as_ref();
                    let enable = service.map_or(Name::Off, |name| Name::Enable(ident(name)));
                    let outcome = self.resolve(&enable);
                    context.add(&format!("{dotted}.enable"), 2, outcome);
                }
                Name::Unreadable => context.failed = true,
                _ => {
                    let outcome = match name {
                        Name::Builtin(builtin) => locals.outcome(builtin),
                        _ => None,
                    };
                    let outcome = outcome.unwrap_or_else(|| self.resolve(name));
                    context.add(dotted, self.depth(namespace, dotted), outcome);
                }
            }
        }
        (!context.failed).then_some(context)
    }

    /// Renders a text with its context.
    pub(crate) fn render(
        &mut self,
        namespace: &str,
        text: &str,
        origin: TemplateSource<'_>,
        key: &str,
        context: &Context,
    ) -> Eval {
        let value = context.value();
        let (result, base) = match origin {
            TemplateSource::File(file) => {
                (self.templates.render_file(file, &value).map(Value::from), 0)
            }
            TemplateSource::Value(_) => {
                let base = lone(text).and_then(|inner| text.find(inner)).unwrap_or(0);
                (self.templates.render(text, &value), base)
            }
        };
        match result {
            Ok(value) => Eval::Set {
                value,
                secret: context.secret,
            },
            Err(error) => {
                let error = innermost(&error);
                let undefined = error.kind() == ErrorKind::UndefinedError;
                if undefined && let Some(reason) = context.unset.values().flatten().next() {
                    return Eval::Broken(reason.clone());
                }
                let range = error.range().map(|r| r.start + base..r.end + base);
                let start = range.as_ref().map_or(0, |range| range.start);
                let (at, text) = match origin {
                    TemplateSource::Value(_) => (origin.place(text, start), text),
                    TemplateSource::File(file) => {
                        let part = file.part(error.name().unwrap_or_default());
                        (part.place(start), part.text.as_str())
                    }
                };
                let written = range.and_then(|range| text.get(range)).unwrap_or_default();
                let name = context
                    .unset
                    .keys()
                    .find(|name| written.contains(name.as_str()));
                if let Some(name) = name
                    .or_else(|| context.unset.keys().next())
                    .filter(|_| undefined)
                {
                    let full = self.full_name(namespace, name);
                    let hint = format!("set `{full}` in {}", self.site.path.display());
                    self.report
                        .error(&at, key, format!("needs `{name}`, which is not set"))
                        .hint(hint);
                } else {
                    self.report.error(&at, key, explain(error));
                }
                Eval::Failed
            }
        }
    }

    /// The value of a name.
    pub(crate) fn resolve(&mut self, name: &Name) -> Outcome {
        if let Some(known) = self.memo.get(name) {
            return known.clone();
        }
        if let Some(start) = self.stack.iter().position(|other| other == name) {
            self.report_loop(start, name);
            return Outcome::Failed;
        }
        if self.stack.len() >= MAX_DEPTH {
            let message =
                format!("its default depends on a chain of more than {MAX_DEPTH} settings");
            self.report
                .error(&Place::whole(&self.site.path), show(name), message);
            return Outcome::Failed;
        }
        self.stack.push(name.clone());
        let outcome = match name {
            Name::Builtin(name) => {
                self.builtins
                    .get(name.as_str())
                    .map_or(Outcome::Failed, |value| Outcome::Set {
                        value: value.clone(),
                        secret: false,
                    })
            }
            Name::Key(key) => {
                let setting = &self.schema.keys[key];
                match self.site.keys.get(key) {
                    Some(given) => Outcome::Set {
                        value: given.value.clone(),
                        secret: setting.secret,
                    },
                    None => self.default("", setting, &format!("keys.{key}")),
                }
            }
            Name::Setting(namespace, key) => self.setting(namespace, key),
            Name::Enable(service) => {
                self.enabled(service)
                    .map_or(Outcome::Failed, |on| Outcome::Set {
                        value: Typed::Bool(on),
                        secret: false,
                    })
            }
            // The template itself is none of its instances.
            Name::Instance(instance) if instance.is_empty() => Outcome::Unset { missing: None },
            Name::Instance(instance) => Outcome::Set {
                value: Typed::Text(instance.clone()),
                secret: false,
            },
            Name::Off => Outcome::Set {
                value: Typed::Bool(false),
                secret: false,
            },
            Name::Whole(_) | Name::Unreadable => Outcome::Failed,
        };
        self.stack.pop();
        // A loop that was found in the meantime has set the outcome already.
        self.memo.entry(name.clone()).or_insert(outcome).clone()
    }

    fn report_loop(&mut self, start: usize, name: &Name) {
        let mut path: Vec<String> = self.stack[start..].iter().map(show).collect();
        path.push(show(name));
        let at = match name {
            Name::Setting(namespace, key) => {
                self.schema.namespaces[namespace].settings[key].at.clone()
            }
            Name::Enable(service) => self
                .schema
                .services
                .iter()
                .find(|(name, _)| ident(name) == *service)
                .map_or_else(
                    || Place::whole(&self.site.path),
                    |(_, doc)| {
                        doc.table
                            .get("enable")
                            .map_or_else(|| doc.whole.clone(), |e| e.node.at.clone())
                    },
                ),
            Name::Key(key) => self.schema.keys[key].at.clone(),
            _ => Place::whole(&self.site.path),
        };
        self.report.error(
            &at,
            show(name),
            format!("the value depends on itself: {}", path.join(" -> ")),
        );
        for name in &self.stack[start..] {
            self.memo.insert(name.clone(), Outcome::Failed);
        }
    }
}

fn show(name: &Name) -> String {
    match name {
        Name::Builtin(name) | Name::Key(name) | Name::Whole(name) => name.clone(),
        Name::Setting(namespace, key) => format!("{namespace}.{key}"),
        Name::Enable(service) => format!("{service}.enable"),
        Name::Instance(_) => "instance".to_owned(),
        Name::Off | Name::Unreadable => String::new(),
    }
}
