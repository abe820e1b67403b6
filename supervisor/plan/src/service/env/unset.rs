//! `SERVICE.unset_env` of the site file, applied.
//!
//! A variable that the administrator both sets and unsets is an error: neither would visibly win.

use crate::{
    report::suggest::did_you_mean,
    service::{env::written::Environment, reader::Reader},
};

/// Removes the variables that the site file unsets. `declared`: the names that the service file
/// may set.
pub(crate) fn apply(reader: &mut Reader<'_, '_>, declared: &[String], env: &mut Environment) {
    let site = reader.resolver.site;
    let namespace = reader.namespace.clone();
    let base = reader.resolver.schema.base(&namespace);
    let namespaces: Vec<&str> = base.into_iter().chain([namespace.as_str()]).collect();
    let lists = namespaces.iter().filter_map(|it| site.unset_env.get(*it));
    let key = format!("{namespace}.unset_env");
    for (name, at) in lists.flatten() {
        let mut maps = namespaces.iter().filter_map(|it| site.env.get(*it));
        let mapped = maps.find_map(|map| map.get(name));
        let mapped = mapped.map(|var| var.key.clone());
        let given = env.written.get(name).filter(|written| written.given);
        if let Some(other) = mapped.or_else(|| given.map(|written| written.key.clone())) {
            reader
                .report()
                .error(at, &key, format!("{other} sets {name}"))
                .hint("remove one of the two");
            continue;
        }
        if env.variables.remove(name).is_none() && !declared.contains(name) {
            reader
                .report()
                .warning(at, &key, format!("nothing sets {name}"))
                .hint_some(did_you_mean(name, declared.iter().map(String::as_str)));
        }
        env.written.remove(name);
    }
}
