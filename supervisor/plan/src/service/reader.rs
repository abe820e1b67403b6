//! Reading the values of one service file: literals and templates alike, each as its key's type.
//!
//! A disabled service is checked, not rendered: its templates must be well formed and use known
//! names, but what they need may be unset. `keys` reads the values of keys by their types.

mod keys;

use std::collections::BTreeMap;

use crate::{
    read::{
        document::{Kind, Node},
        expression::is_template,
        fields::Fields,
        typed::{Type, Typed},
    },
    report::{
        place::Place,
        problem::{Problem, Report},
    },
    resolve::{
        locals::Locals,
        outcome::{Eval, TemplateSource},
        resolver::Resolver,
        template_file::TemplateFile,
    },
    service::env::written::Written,
};

/// Reads the values of one service.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) resolver: &'r mut Resolver<'a>,
    /// Identifier of the service.
    pub(crate) namespace: String,
    /// Whether templates are rendered; else only checked.
    pub(crate) render: bool,
    /// Why the service cannot run on this host.
    pub(crate) broken: Option<String>,
    /// Names that templates see at this place alone.
    pub(crate) locals: Locals,
    /// Where the variables of the environment were written, once it has been read.
    pub(crate) written: BTreeMap<String, Written>,
}

/// A value and whether it must be hidden.
pub(crate) type Found = (Typed, bool);

impl Reader<'_, '_> {
    pub(crate) fn report(&mut self) -> &mut Report {
        self.resolver.report
    }

    /// A value as its type. None: not available, and reported where that is wrong.
    /// `optional`: a lone name without value means that the key is absent.
    pub(crate) fn typed(
        &mut self,
        node: &Node,
        key: &str,
        ty: Type,
        optional: bool,
    ) -> Option<Found> {
        let Some(text) = node.text().filter(|text| is_template(text)) else {
            return match Typed::from_node(ty, node) {
                Ok(value) => Some((value, false)),
                Err(why) => {
                    self.report().error(&node.at, key, why);
                    None
                }
            };
        };
        let (value, secret) = self.eval(text, TemplateSource::Value(&node.at), key, optional)?;
        match Typed::from_value(ty, &value) {
            Ok(value) => Some((value, secret)),
            Err(why) => {
                let why = if secret {
                    "has a secret value that its type does not allow".to_owned()
                } else {
                    why
                };
                self.blame(node, key, why);
                None
            }
        }
    }

    /// Reports a wrong value at the place where the site file gives it, or else at the node.
    pub(crate) fn blame(&mut self, node: &Node, key: &str, why: String) -> &mut Problem {
        let name = node.text().and_then(crate::read::expression::lone_name);
        let given = name.and_then(|name| self.resolver.given(&self.namespace, name));
        let (at, key) = given.unwrap_or_else(|| (node.at.clone(), key.to_owned()));
        self.report().error(&at, key, why)
    }

    /// The value of a template.
    pub(crate) fn eval(
        &mut self,
        text: &str,
        origin: TemplateSource<'_>,
        key: &str,
        optional: bool,
    ) -> Option<(minijinja::Value, bool)> {
        let locals = self.locals.clone();
        if !self.render {
            self.resolver
                .names(&self.namespace, text, origin, key, &locals);
            return None;
        }
        match self
            .resolver
            .eval(&self.namespace, text, origin, key, &locals)
        {
            Eval::Set { value, secret } => Some((value, secret)),
            Eval::Unset {
                missing: Some(reason),
            }
            | Eval::Broken(reason) => {
                self.broken.get_or_insert(reason);
                None
            }
            Eval::Unset { missing: None } if optional => None,
            Eval::Unset { missing: None } => {
                if let TemplateSource::Value(at) = origin {
                    let name = crate::read::expression::lone_name(text).unwrap_or(text);
                    let file = self.resolver.site.path.display();
                    let full = self.resolver.full_name(&self.namespace, name);
                    let hint = format!("set `{full}` in {file}");
                    self.report()
                        .error(at, key, format!("needs `{name}`, which is not set"))
                        .hint(hint);
                }
                None
            }
            Eval::Failed => None,
        }
    }

    /// A template and what it includes; `at` and `key` say who wants it.
    pub(crate) fn template_file(
        &mut self,
        name: &str,
        at: &Place,
        key: &str,
    ) -> Option<TemplateFile> {
        let resolver = &mut *self.resolver;
        let (host, places) = (resolver.host, &resolver.search_path);
        TemplateFile::read(host, resolver.report, places, name, at, key)
    }

    /// A string that may not be secret, without NUL.
    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let (value, _) = self.typed(node, key, Type::Text, false)?;
        let text = value.text();
        if text.contains('\0') {
            self.report().error(&node.at, key, "cannot contain a NUL");
            return None;
        }
        Some(text)
    }

    /// Whether a service file has a key of this name at its top.
    pub(crate) fn is_key(&self, name: &str) -> bool {
        self.resolver.schema.service_keys.contains(&name)
    }

    /// Reports the keys that nobody has asked for.
    pub(crate) fn finish(&mut self, fields: Fields<'_>) {
        let schema = self.resolver.schema;
        fields.finish(&schema.service_keys, self.report());
    }

    pub(crate) fn duration(&mut self, node: &Node, key: &str) -> Option<u64> {
        let (value, _) = self.typed(node, key, Type::Duration, false)?;
        text::parse_duration(&value.text()).ok()
    }

    /// A list of strings, each perhaps a template, or one template that gives a list.
    pub(crate) fn list(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        self.list_with_taint(node, key).map(|(list, _)| list)
    }

    fn list_with_taint(&mut self, node: &Node, key: &str) -> Option<(Vec<String>, bool)> {
        let Kind::List(items) = &node.kind else {
            let (value, secret) = self.typed(node, key, Type::List, false)?;
            let Typed::List(items) = value else {
                return None;
            };
            return Some((items.iter().map(Typed::text).collect(), secret));
        };
        let mut out = Some(Vec::new());
        let mut tainted = false;
        for item in items {
            let found = match item.kind {
                Kind::Int(int) => Some((Typed::Text(int.to_string()), false)),
                _ => self.typed(item, key, Type::Text, false),
            };
            match found {
                Some((value, secret)) if !value.text().contains('\0') => {
                    tainted |= secret;
                    if let Some(out) = &mut out {
                        out.push(value.text());
                    }
                }
                Some(_) => {
                    self.report().error(&item.at, key, "cannot contain a NUL");
                    out = None;
                }
                None => out = None,
            }
        }
        out.map(|out| (out, tainted))
    }
}
