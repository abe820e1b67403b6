//! Secrets in what the administrator writes: where they come from, and who may read the file.

use std::path::Path;

use crate::{
    host::machine::Host,
    report::{place::Place, problem::Report},
    site::values::{Site, SiteValue},
};

/// The number of root's group.
const ROOT: u32 = 0;

impl Site {
    /// Puts the values of `secrets.toml` beneath those of the site file.
    pub(crate) fn add_secrets(&mut self, secrets: Site, report: &mut Report) {
        for (place, given) in secrets.settings {
            let (namespace, key) = &place;
            check_same(
                self.settings.get(&place),
                &given,
                &format!("{namespace}.{key}"),
                report,
            );
            self.settings.entry(place).or_insert(given);
        }
        for (name, given) in secrets.keys {
            check_same(self.keys.get(&name), &given, &name, report);
            self.keys.entry(name).or_insert(given);
        }
        for (service, vars) in secrets.env {
            let own = self.env.entry(service).or_default();
            for (name, mut var) in vars {
                var.secret = true;
                own.entry(name).or_insert(var);
            }
        }
        for (service, unset) in secrets.unset_env {
            self.unset_env.entry(service).or_default().extend(unset);
        }
        for (name, draft) in secrets.notify {
            self.notify.entry(name).or_default().add(draft);
        }
        for (service, switch) in secrets.enable {
            self.enable.entry(service).or_insert(switch);
        }
    }

    /// Refuses a file with a secret in it that others can read.
    pub(crate) fn check_mode(&self, host: &dyn Host, report: &mut Report) {
        if let Some((key, at)) = &self.secret {
            self.check_mode_for(host, key, at, report);
        }
    }

    /// Refuses the file on account of this secret if others can read it.
    pub(crate) fn check_mode_for(
        &self,
        host: &dyn Host,
        key: &str,
        at: &Place,
        report: &mut Report,
    ) {
        // What root's group may do is nothing that root may not: such is the packaged site file.
        let others = |group| if group == ROOT { 0o004 } else { 0o044 };
        if let Ok((mode, group)) = host.mode(&self.path)
            && mode & others(group) != 0
        {
            let message =
                format!("the file holds this secret, but others can read it (mode {mode:04o})");
            let hint = format!(
                "chmod 600 {}, or move the line to secrets.toml",
                self.path.display()
            );
            report.error(at, key, message).hint(hint);
        }
    }
}

pub(crate) fn check_same(
    own: Option<&SiteValue>,
    other: &SiteValue,
    key: &str,
    report: &mut Report,
) {
    if let Some(own) = own
        && own.value != other.value
    {
        report
            .warning(
                &own.at,
                key,
                "secrets.toml has another value for this; the one here counts",
            )
            .hint("remove one of the two");
    }
}

/// `secrets.toml` must be its owner's alone, whatever is in it.
pub(crate) fn check_secrets_mode(host: &dyn Host, path: &Path, report: &mut Report) {
    if let Ok((mode, _)) = host.mode(path)
        && mode & 0o077 != 0
    {
        let message = format!("others can get at the file (mode {mode:04o}); it must be 0600");
        report
            .error(&Place::whole(path), "", message)
            .hint(format!("chmod 600 {}", path.display()));
    }
}
