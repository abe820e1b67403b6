//! Errors for keys of the site file that nothing declares.

use crate::{
    declare::schema::{Namespace, Schema, Switch},
    read::{document::Entry, fields::misplaced},
    report::{problem::Report, suggest::did_you_mean},
    site::daemon,
};

/// Reports an unknown name at the top of the file.
pub(crate) fn unknown_name(name: &str, entry: &Entry, schema: &Schema, report: &mut Report) {
    let mut names = schema.namespace_names();
    names.extend(schema.keys.keys().map(String::as_str));
    names.extend(daemon::RESERVED.iter().copied());
    let what = if entry.node.table().is_some() {
        "there is no service, section or group of this name"
    } else {
        "unknown key"
    };
    report
        .error(&entry.key_at, name, what)
        .hint_some(did_you_mean(name, names));
}

/// Reports an unknown key of a service, section or group.
pub(crate) fn unknown_setting(
    namespace: &Namespace,
    owner: &Namespace,
    setting: &str,
    entry: &Entry,
    schema: &Schema,
    report: &mut Report,
) {
    let name = &namespace.name;
    let message = format!("`{name}` has no setting `{setting}`");
    let top = schema.keys.contains_key(setting)
        || (entry.node.table().is_some() && schema.namespace(setting).is_some());
    let mut known: Vec<&str> = owner.settings.keys().map(String::as_str).collect();
    known.extend(["enable", "env", "unset_env"]);
    known.extend((namespace.switch == Switch::Template).then_some("instances"));
    let hint = if top {
        Some(misplaced(setting, name))
    } else {
        did_you_mean(setting, known).or_else(|| declared_in(owner, schema))
    };
    report
        .error(&entry.key_at, format!("{name}.{setting}"), message)
        .hint_some(hint);
}

/// The file that lists the settings.
fn declared_in(owner: &Namespace, schema: &Schema) -> Option<String> {
    let file = schema.services.get(owner.service.as_ref()?)?.whole.file();
    Some(format!("its settings are listed in {}", file.display()))
}
