//! Values of names: settings, top-level keys, built-ins and `.enable`, each worked out once, in
//! the order in which they need one another.

use std::{collections::BTreeMap, path::Path};

use minijinja::{ErrorKind, Value};

use crate::{
    Host, MissingSecret, Paths,
    decl::{BUILTINS, Setting, Space, Switch, World, plain},
    near::did_you_mean,
    problem::Report,
    site::{Site, allowed},
    source::{Kind, Node, Place},
    template::{Templates, explain, is_template, lone, lone_name},
    value::{Type, Typed, URL_PARTS},
};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Builtin(String),
    Key(String),
    /// Plain space and setting.
    Setting(String, String),
    /// Plain name of a service.
    Enable(String),
    /// `.enable` of what is not in the catalogue.
    Off,
    /// All settings of a space.
    Whole(String),
    /// Of a service that could not be read.
    Damaged,
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
    /// Needs something that is missing on this host.
    Broken(String),
    Failed,
}

/// Where a template is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    Value(&'a Place),
    File(&'a Path),
}

impl Origin<'_> {
    fn place(self, text: &str, offset: usize) -> Place {
        match self {
            Self::Value(at) => at.inside(text, offset),
            Self::File(path) => Place::in_text(path, text, offset),
        }
    }
}

/// Works out values.
pub(crate) struct Resolver<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) world: &'a World,
    pub(crate) site: &'a Site,
    pub(crate) report: &'a mut Report,
    pub(crate) missing_secrets: Vec<MissingSecret>,
    templates: Templates,
    builtins: BTreeMap<&'static str, Typed>,
    memo: BTreeMap<Name, Outcome>,
    stack: Vec<Name>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        host: &'a dyn Host,
        paths: &Paths,
        world: &'a World,
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
            ("supervisor_uid", Typed::Int(i64::from(host.uid()))),
        ]);
        Self {
            host,
            world,
            site,
            report,
            missing_secrets: Vec::new(),
            templates: Templates::new(),
            builtins,
            memo: BTreeMap::new(),
            stack: Vec::new(),
        }
    }

    /// What a dotted name means in the templates of a space (plain; empty: of no service).
    fn find(&self, space: &str, dotted: &str, candidate: bool) -> Result<Name, Option<String>> {
        let mut parts = dotted.split('.');
        let first = parts.next().unwrap_or_default();
        let second = parts.next();
        if let Some((own, found)) = self.world.canonical(space) {
            if found.settings.contains_key(first) {
                return self.checked(
                    Name::Setting(own, first.to_owned()),
                    &found.settings[first],
                    second,
                );
            }
            if first == "enable"
                && let Some(service) = &found.service
            {
                return Ok(Name::Enable(plain(service)));
            }
        }
        if BUILTINS.contains(&first) && (first != "candidate" || candidate) {
            return Ok(Name::Builtin(first.to_owned()));
        }
        if let Some(setting) = self.world.keys.get(first) {
            return self.checked(Name::Key(first.to_owned()), setting, second);
        }
        if let Some((canonical, found)) = self.world.canonical(first) {
            if found.damaged {
                return Ok(Name::Damaged);
            }
            let Some(second) = second else {
                return Ok(Name::Whole(canonical));
            };
            if let Some(setting) = found.settings.get(second) {
                return self.checked(
                    Name::Setting(canonical, second.to_owned()),
                    setting,
                    parts.next(),
                );
            }
            if second == "enable" {
                return Ok(found
                    .service
                    .as_ref()
                    .map_or(Name::Off, |s| Name::Enable(plain(s))));
            }
            let known = found.settings.keys().map(String::as_str).chain(["enable"]);
            return Err(did_you_mean(second, known));
        }
        if self.world.damaged {
            return Ok(Name::Damaged);
        }
        let own = self.world.canonical(space).map(|(_, space)| space);
        let own = own.into_iter().flat_map(|space| space.settings.keys());
        let names = own
            .chain(self.world.keys.keys())
            .chain(self.world.spaces.keys())
            .map(String::as_str);
        Err(did_you_mean(
            first,
            names.chain(BUILTINS).filter(|name| *name != "candidate"),
        ))
    }

    /// A part behind a URL must be one of its parts.
    #[expect(clippy::unused_self, reason = "reads as part of find")]
    fn checked(
        &self,
        name: Name,
        setting: &Setting,
        part: Option<&str>,
    ) -> Result<Name, Option<String>> {
        match part {
            Some(part) if setting.ty == Type::Url && !URL_PARTS.contains(&part) => {
                Err(Some(format!("a URL has {}", URL_PARTS.join(", "))))
            }
            _ => Ok(name),
        }
    }

    /// The names a text uses, or none when something is wrong with them, which is reported.
    pub(crate) fn names(
        &mut self,
        space: &str,
        text: &str,
        origin: Origin<'_>,
        key: &str,
        candidate: bool,
    ) -> Option<BTreeMap<String, Name>> {
        let dotted = match self.templates.names(text) {
            Ok(names) => names,
            Err(error) => {
                let offset = error.range().map_or(0, |range| range.start);
                self.report
                    .error(&origin.place(text, offset), key, explain(&error));
                return None;
            }
        };
        let mut out = BTreeMap::new();
        let mut good = true;
        for dotted in dotted {
            match self.find(space, &dotted, candidate) {
                Ok(name) => {
                    out.insert(dotted, name);
                }
                Err(hint) => {
                    good = false;
                    let at = origin.place(text, word(text, &dotted));
                    let hint = hint.or_else(|| {
                        (dotted == "candidate").then(|| {
                            "`candidate` is there in `validate` of [[files]] only".to_owned()
                        })
                    });
                    self.report
                        .error(&at, key, format!("there is no `{dotted}`"))
                        .hint_some(hint);
                }
            }
        }
        good.then_some(out)
    }

    /// The value of a text in the templates of a space.
    pub(crate) fn eval(
        &mut self,
        space: &str,
        text: &str,
        origin: Origin<'_>,
        key: &str,
        candidate: Option<&str>,
    ) -> Eval {
        let from_file = matches!(origin, Origin::File(_));
        if !from_file && !is_template(text) {
            return Eval::Set {
                value: Value::from(text),
                secret: false,
            };
        }
        let Some(names) = self.names(space, text, origin, key, candidate.is_some()) else {
            return Eval::Failed;
        };
        let mut context = Context::default();
        for (dotted, name) in &names {
            match name {
                Name::Whole(whole) => {
                    let all: Vec<String> =
                        self.world.spaces[whole].settings.keys().cloned().collect();
                    for setting in all {
                        let outcome = self.resolve(&Name::Setting(whole.clone(), setting.clone()));
                        context.add(&format!("{dotted}.{setting}"), 2, outcome);
                    }
                    let outcome = self.resolve(&Name::Enable(whole.clone()));
                    context.add(&format!("{dotted}.enable"), 2, outcome);
                }
                Name::Damaged => context.failed = true,
                Name::Builtin(builtin) if builtin == "candidate" => {
                    let value = Typed::Text(candidate.unwrap_or_default().to_owned());
                    context.add(
                        dotted,
                        1,
                        Outcome::Set {
                            value,
                            secret: false,
                        },
                    );
                }
                _ => {
                    let outcome = self.resolve(name);
                    context.add(dotted, self.depth(space, dotted), outcome);
                }
            }
        }
        if context.failed {
            return Eval::Failed;
        }
        if !from_file
            && let Some(name) = lone_name(text)
            && let Some(missing) = context.unset.get(name)
        {
            return Eval::Unset {
                missing: missing.clone(),
            };
        }
        self.render(space, text, origin, key, &context)
    }

    fn render(
        &mut self,
        space: &str,
        text: &str,
        origin: Origin<'_>,
        key: &str,
        context: &Context,
    ) -> Eval {
        let value = context.value();
        let (result, base) = match origin {
            Origin::File(_) => (self.templates.render_text(text, &value).map(Value::from), 0),
            Origin::Value(_) => {
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
                let undefined = error.kind() == ErrorKind::UndefinedError;
                if undefined && let Some(reason) = context.unset.values().flatten().next() {
                    return Eval::Broken(reason.clone());
                }
                let range = error.range().map(|r| r.start + base..r.end + base);
                let at = origin.place(text, range.as_ref().map_or(0, |range| range.start));
                let written = range.and_then(|range| text.get(range)).unwrap_or_default();
                let name = context
                    .unset
                    .keys()
                    .find(|name| written.contains(name.as_str()));
                if let Some(name) = name
                    .or_else(|| context.unset.keys().next())
                    .filter(|_| undefined)
                {
                    let full = self.full_name(space, name);
                    let hint = format!("set `{full}` in {}", self.site.path.display());
                    self.report
                        .error(&at, key, format!("needs `{name}`, which is not set"))
                        .hint(hint);
                } else {
                    self.report.error(&at, key, explain(&error));
                }
                Eval::Failed
            }
        }
    }

    /// How many parts of a dotted name are the name; the rest are parts of its value.
    fn depth(&self, space: &str, dotted: &str) -> usize {
        let first = dotted.split('.').next().unwrap_or_default();
        let own = self.world.canonical(space).is_some_and(|(_, found)| {
            found.settings.contains_key(first) || (first == "enable" && found.service.is_some())
        });
        if own || BUILTINS.contains(&first) || self.world.keys.contains_key(first) {
            1
        } else {
            2
        }
    }

    /// A name in the templates of a space, as the site file writes it.
    pub(crate) fn full_name(&self, space: &str, dotted: &str) -> String {
        match self.world.canonical(space) {
            Some((_, own)) if own.settings.contains_key(dotted) => format!("{}.{dotted}", own.name),
            _ => dotted.to_owned(),
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
                let setting = &self.world.keys[key];
                match self.site.keys.get(key) {
                    Some(given) => Outcome::Set {
                        value: given.value.clone(),
                        secret: setting.secret,
                    },
                    None => self.default("", setting, &format!("keys.{key}")),
                }
            }
            Name::Setting(space, key) => self.setting(space, key),
            Name::Enable(service) => {
                self.enabled(service)
                    .map_or(Outcome::Failed, |on| Outcome::Set {
                        value: Typed::Bool(on),
                        secret: false,
                    })
            }
            Name::Off => Outcome::Set {
                value: Typed::Bool(false),
                secret: false,
            },
            Name::Whole(_) | Name::Damaged => Outcome::Failed,
        };
        self.stack.pop();
        // A loop that was found in the meantime counts.
        self.memo.entry(name.clone()).or_insert(outcome).clone()
    }

    fn report_loop(&mut self, start: usize, name: &Name) {
        let mut path: Vec<String> = self.stack[start..].iter().map(show).collect();
        path.push(show(name));
        let at = match name {
            Name::Setting(space, key) => self.world.spaces[space].settings[key].at.clone(),
            Name::Enable(service) => self
                .world
                .services
                .iter()
                .find(|(name, _)| plain(name) == *service)
                .map_or_else(
                    || Place::whole(&self.site.path),
                    |(_, doc)| {
                        doc.table
                            .get("enable")
                            .map_or_else(|| doc.whole.clone(), |e| e.node.at.clone())
                    },
                ),
            Name::Key(key) => self.world.keys[key].at.clone(),
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

    fn setting(&mut self, space: &str, key: &str) -> Outcome {
        let world = self.world;
        let setting = &world.spaces[space].settings[key];
        if let Some(given) = self.site.settings.get(&(space.to_owned(), key.to_owned())) {
            return Outcome::Set {
                value: given.value.clone(),
                secret: setting.secret,
            };
        }
        if let Some(spec) = setting.generate {
            let service = world.spaces[space].name.clone();
            let missing = MissingSecret {
                service,
                key: key.to_owned(),
                spec: spec.text(),
            };
            self.missing_secrets.push(missing);
            return Outcome::Set {
                value: Typed::Text(spec.placeholder()),
                secret: true,
            };
        }
        if setting.find.is_empty() {
            return self.default(space, setting, &format!("settings.{key}"));
        }
        match crate::find::find(self, space, setting, key) {
            Ok(Some(path)) => Outcome::Set {
                value: Typed::Text(path),
                secret: setting.secret,
            },
            Ok(None) if setting.default.is_some() => {
                self.default(space, setting, &format!("settings.{key}"))
            }
            Ok(None) => {
                let globs: Vec<&str> = setting.find.iter().filter_map(Node::text).collect();
                let missing = format!("{key} was not found; looked for {}", globs.join(", "));
                Outcome::Unset {
                    missing: Some(missing),
                }
            }
            Err(missing) => Outcome::Unset {
                missing: Some(missing),
            },
        }
    }

    fn default(&mut self, space: &str, setting: &Setting, key: &str) -> Outcome {
        let Some(node) = &setting.default else {
            return Outcome::Unset { missing: None };
        };
        let key = format!("{key}.default");
        let (value, secret) = match &node.kind {
            Kind::Text(text) if is_template(text) => {
                match self.eval(space, text, Origin::Value(&node.at), &key, None) {
                    Eval::Set { value, secret } => (Typed::from_value(setting.ty, &value), secret),
                    Eval::Unset { missing } => return Outcome::Unset { missing },
                    Eval::Broken(reason) => {
                        return Outcome::Unset {
                            missing: Some(reason),
                        };
                    }
                    Eval::Failed => return Outcome::Failed,
                }
            }
            _ => match self.plain_default(space, setting.ty, node, &key) {
                Some(found) => found,
                None => return Outcome::Failed,
            },
        };
        match value.and_then(|value| allowed(setting, value)) {
            Ok(value) => Outcome::Set {
                value,
                secret: secret || setting.secret,
            },
            Err(why) => {
                self.report.error(&node.at, key, why);
                Outcome::Failed
            }
        }
    }

    /// A default whose parts may be templates.
    fn plain_default(
        &mut self,
        space: &str,
        ty: Type,
        node: &Node,
        key: &str,
    ) -> Option<(Result<Typed, String>, bool)> {
        let mut tainted = false;
        let mut part = |this: &mut Self, item: &Node| match item.text() {
            Some(text) => match this.eval(space, text, Origin::Value(&item.at), key, None) {
                Eval::Set { value, secret } => {
                    tainted |= secret;
                    Some(Typed::Text(crate::value::plain_text(&value)))
                }
                _ => None,
            },
            None => Typed::plain(item).ok(),
        };
        let value = match (ty, &node.kind) {
            (Type::List, Kind::List(list)) => {
                let items: Option<Vec<Typed>> = list.iter().map(|item| part(self, item)).collect();
                Ok(Typed::List(items?))
            }
            (Type::Map, Kind::Table(table)) => {
                let mut map = BTreeMap::new();
                for (name, entry) in table {
                    map.insert(name.clone(), part(self, &entry.node)?);
                }
                Ok(Typed::Map(map))
            }
            // What is wrong with it was reported with its declaration.
            _ => Ok(Typed::from_node(ty, node).ok()?),
        };
        Some((value, tainted))
    }

    /// Whether a service (plain name) runs on this host. None: the reason has been reported.
    pub(crate) fn enabled(&mut self, service: &str) -> Option<bool> {
        if let Some((on, _)) = self.site.enable.get(service) {
            return Some(*on);
        }
        if self.group_off(service).is_some() {
            return Some(false);
        }
        if let Some(on) = self.by_role(service) {
            return Some(on);
        }
        let world = self.world;
        let document = &world
            .services
            .iter()
            .find(|(name, _)| plain(name) == service)?
            .1;
        let Some(node) = document.table.get("enable").map(|entry| &entry.node) else {
            return Some(true);
        };
        let Some(text) = node.text() else {
            if let Kind::Bool(on) = node.kind {
                return Some(on);
            }
            let message = format!("must be true, false or a template, not {}", node.what());
            self.report.error(&node.at, "enable", message);
            return None;
        };
        match self.eval(service, text, Origin::Value(&node.at), "enable", None) {
            Eval::Set { value, .. } => {
                if let Ok(Typed::Bool(on)) = Typed::from_value(Type::Bool, &value) {
                    return Some(on);
                }
                let message = format!("must be true or false, not `{value}`");
                self.report.error(&node.at, "enable", message);
                None
            }
            Eval::Unset { .. } | Eval::Broken(_) => Some(false),
            Eval::Failed => None,
        }
    }

    /// The group that turns a service off.
    pub(crate) fn group_off(&self, service: &str) -> Option<&'a Space> {
        let site = self.site;
        self.world.spaces.iter().find_map(|(name, space)| {
            let Switch::Group(members) = &space.switch else {
                return None;
            };
            let off = site.enable.get(name).is_some_and(|(on, _)| !on);
            (off && members.iter().any(|member| plain(member) == service)).then_some(space)
        })
    }

    /// What the roles say of a service.
    pub(crate) fn by_role(&self, service: &str) -> Option<bool> {
        let roles = self
            .site
            .roles
            .iter()
            .filter_map(|role| self.world.roles.get(role));
        let (mut on, mut off) = (false, false);
        for role in roles {
            on |= role.enable.iter().any(|name| plain(name) == service);
            off |= role.disable.iter().any(|name| plain(name) == service);
        }
        if on { Some(true) } else { off.then_some(false) }
    }

    /// The disabled service whose `.enable` a template asks for.
    pub(crate) fn disabled_cause(&mut self, space: &str, text: &str, at: &Place) -> Option<String> {
        let names = self.names(space, text, Origin::Value(at), "", false)?;
        let off = names.into_values().find_map(|name| match name {
            Name::Enable(service) if service != space && self.enabled(&service) == Some(false) => {
                Some(service)
            }
            _ => None,
        })?;
        self.world
            .services
            .keys()
            .find(|name| plain(name) == off)
            .cloned()
    }

    /// Declared names that a template uses and that have no value.
    pub(crate) fn unset_names(&mut self, space: &str, text: &str, at: &Place) -> Vec<String> {
        let names = self
            .names(space, text, Origin::Value(at), "", false)
            .unwrap_or_default();
        names
            .into_iter()
            .filter(|(_, name)| matches!(self.resolve(name), Outcome::Unset { .. }))
            .map(|(dotted, _)| dotted)
            .collect()
    }
}

/// Where a dotted name stands in a text.
fn word(text: &str, dotted: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let first = text.match_indices(dotted).find(|(start, _)| {
        !text[..*start].ends_with(|c| part(c) || c == '.')
            && !text[start + dotted.len()..].starts_with(part)
    });
    first.map_or(0, |(start, _)| start)
}

fn show(name: &Name) -> String {
    match name {
        Name::Builtin(name) | Name::Key(name) | Name::Whole(name) => name.clone(),
        Name::Setting(space, key) => format!("{space}.{key}"),
        Name::Enable(service) => format!("{service}.enable"),
        Name::Off | Name::Damaged => String::new(),
    }
}

/// What a template gets to see.
#[derive(Debug, Default)]
struct Context {
    top: BTreeMap<String, Value>,
    spaces: BTreeMap<String, BTreeMap<String, Value>>,
    /// Dotted names without value.
    unset: BTreeMap<String, Option<String>>,
    secret: bool,
    failed: bool,
}

impl Context {
    fn add(&mut self, dotted: &str, depth: usize, outcome: Outcome) {
        let mut parts = dotted.split('.');
        let first = parts.next().unwrap_or_default().to_owned();
        let second = parts.next().map(str::to_owned).filter(|_| depth > 1);
        if second.is_some() {
            self.spaces.entry(first.clone()).or_default();
        }
        match outcome {
            Outcome::Set { value, secret } => {
                self.secret |= secret;
                match second {
                    Some(second) => {
                        self.spaces
                            .entry(first)
                            .or_default()
                            .insert(second, value.value());
                    }
                    None => {
                        self.top.insert(first, value.value());
                    }
                }
            }
            Outcome::Unset { missing } => {
                let short: Vec<&str> = dotted.split('.').take(depth).collect();
                self.unset.insert(dotted.to_owned(), missing.clone());
                self.unset.insert(short.join("."), missing);
            }
            Outcome::Failed => self.failed = true,
        }
    }

    fn value(&self) -> Value {
        let mut all = self.top.clone();
        for (space, inner) in &self.spaces {
            let inner = inner
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()));
            all.insert(space.clone(), Value::from_pairs(inner));
        }
        Value::from_pairs(all)
    }
}
