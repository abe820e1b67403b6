//! Whether a service runs on this host: an explicit switch wins over a group, a group over a
//! role, a role over the service file.

use crate::{
    declare::schema::{Namespace, Switch},
    read::{
        document::Kind,
        ident::ident,
        typed::{Type, Typed},
    },
    report::place::Place,
    resolve::{
        locals::Locals,
        outcome::{Eval, Name, Outcome, TemplateSource},
        resolver::Resolver,
    },
};

impl<'a> Resolver<'a> {
    /// Whether a service (plain name) runs on this host. None: the reason has been reported.
    pub(crate) fn enabled(&mut self, service: &str) -> Option<bool> {
        if let Some((on, _)) = self.switched(service) {
            return Some(*on);
        }
        if self.group_off(service).is_some() {
            return Some(false);
        }
        if let Some(on) = self.by_role(service) {
            return Some(on);
        }
        let schema = self.schema;
        let name = &schema.namespaces.get(service)?.name;
        let document = schema.services.get(name)?;
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
        match self.eval(
            service,
            text,
            TemplateSource::Value(&node.at),
            "enable",
            &Locals::NONE,
        ) {
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

    /// Switch in the site file for a service, or for the template that made the service.
    pub(crate) fn switched(&self, service: &str) -> Option<&'a (bool, Place)> {
        let enable = &self.site.enable;
        enable
            .get(service)
            .or_else(|| enable.get(self.schema.base(service)?))
    }

    /// Whether a list of a group or role means a service.
    fn means(&self, list: &[String], service: &str) -> bool {
        let base = self.schema.base(service);
        let mut names = list.iter().map(|name| ident(name));
        names.any(|name| name == service || Some(name.trim_end_matches('@')) == base)
    }

    /// The group that turns a service off.
    pub(crate) fn group_off(&self, service: &str) -> Option<&'a Namespace> {
        let mut groups = self.off_groups.iter();
        let off = |namespace: &&&Namespace| match &namespace.switch {
            Switch::Group(members) => self.means(members, service),
            _ => false,
        };
        groups.find(off).copied()
    }

    /// Decision of the roles about a service.
    pub(crate) fn by_role(&self, service: &str) -> Option<bool> {
        let roles = self
            .site
            .roles
            .iter()
            .filter_map(|(role, _)| self.schema.roles.get(role));
        let (mut on, mut off) = (false, false);
        for role in roles {
            on |= self.means(&role.enable, service);
            off |= self.means(&role.disable, service);
        }
        if on { Some(true) } else { off.then_some(false) }
    }

    /// The disabled service whose `.enable` a template asks for.
    pub(crate) fn disabled_cause(
        &mut self,
        namespace: &str,
        text: &str,
        at: &Place,
    ) -> Option<String> {
        let names = self.names(
            namespace,
            text,
            TemplateSource::Value(at),
            "",
            &Locals::NONE,
        )?;
        let off = names.into_values().find_map(|name| match name {
            Name::Enable(service)
                if service != namespace && self.enabled(&service) == Some(false) =>
            {
                Some(service)
            }
            _ => None,
        })?;
        self.schema
            .namespaces
            .get(&off)
            .map(|namespace| namespace.name.clone())
    }

    /// Declared names that a template uses and that have no value.
    pub(crate) fn unset_names(&mut self, namespace: &str, text: &str, at: &Place) -> Vec<String> {
        let names = self
            .names(
                namespace,
                text,
                TemplateSource::Value(at),
                "",
                &Locals::NONE,
            )
            .unwrap_or_default();
        names
            .into_iter()
            .filter(|(_, name)| matches!(self.resolve(name), Outcome::Unset { .. }))
            .map(|(dotted, _)| dotted)
            .collect()
    }
}
