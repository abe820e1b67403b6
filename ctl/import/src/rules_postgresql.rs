//! Rules for `postgresql['KEY']`.

use serde_json::Value as Json;

use super::{
    coerce,
    convert::{Converter, near},
    database::{Database, SOCKET_DIR, SOURCE_COUNTS},
    draft::Part,
    gitlab,
    report::Disposition,
    ruby::{Pair, Value},
    settings::Setting,
};

/// Settings about GitLab's own databases, their replication, or the package.
const GITLAB: [&str; 24] = [
    "auto_restart_on_version_change",
    "connect_port",
    "consul_service_name",
    "dbname",
    "gid",
    "group",
    "home",
    "hot_standby",
    "internal_certificate",
    "internal_key",
    "log_group",
    "pg_user_attributes_source",
    "pgbouncer_user",
    "pgbouncer_user_password",
    "recovery_target_timeline",
    "registry",
    "replication_user",
    "semmsl",
    "shell",
    "shmall",
    "shmmax",
    "uid",
    "username",
    "version",
];

impl Converter<'_> {
    /// Converts a setting of GitLab's PostgreSQL to one of the PostgreSQL here.
    pub(super) fn postgresql(&mut self, setting: &Setting) -> Disposition {
        let key = setting.key.as_str();
        if key == "sql_mattermost_user" {
            if self.package.source_counts() {
                return Disposition::not_needed(SOURCE_COUNTS);
            }
            return match coerce::typed(&setting.value, "string") {
                Ok(Some(user)) => {
                    let path = ["mattermost", "sql_user"];
                    self.put(setting, Part::Mattermost, &path, user, false)
                }
                Ok(None) => Disposition::not_needed("it has no value"),
                Err(why) => Disposition::Person(why),
            };
        }
        if key == "enable" {
            return self.postgresql_switch(setting);
        }
        if self.package.stays() {
            return Disposition::not_needed(
                "it is about GitLab's PostgreSQL, which stays; Mattermost has one of its own here",
            );
        }
        if matches!(key, "dir" | "data_dir" | "unix_socket_directory") {
            let own = coerce::variable(&setting.value)
                .ok()
                .flatten()
                .is_none_or(|it| it.starts_with(SOCKET_DIR));
            if own || key == "unix_socket_directory" {
                return Disposition::not_needed(
                    "where GitLab's PostgreSQL is; the data moves by dump and restore",
                );
            }
            return Disposition::person(format!(
                "it is where GitLab's PostgreSQL has its data, which moves by dump and restore: postgresql.{key} is the place of the one here"
            ));
        }
        let declared = self.catalogue.setting("postgresql", key).cloned();
        if let Some(why) = declared.as_ref().and_then(|it| it.obsolete.clone()) {
            return Disposition::NotNeeded(why);
        }
        let own = GITLAB.contains(&key)
            || ["sql_", "svlogd_", "pgbouncer"]
                .iter()
                .any(|it| key.starts_with(it));
        if own {
            return Disposition::not_needed(
                "about GitLab's own databases, accounts or replication",
            );
        }
        if let ("custom_pg_hba_entries", Value::Hash(groups)) = (key, &setting.value) {
            return match hba_lines(groups) {
                Ok(lines) => {
                    let path = ["postgresql", key];
                    self.put(setting, Part::Postgresql, &path, Json::from(lines), false)
                }
                Err(why) => Disposition::Person(why),
            };
        }
        if let Some(declared) = declared {
            let path = ["postgresql", key];
            return self.declared(setting, Part::Postgresql, &path, &declared);
        }
        if gitlab::PARAMETERS.contains(&key) {
            return self.parameter(setting);
        }
        let hint = near(key, self.catalogue.names("postgresql"));
        Disposition::person(format!(
            "the PostgreSQL here has no such setting{hint}; postgresql.parameters takes any parameter of postgresql.conf"
        ))
    }

    fn postgresql_switch(&mut self, setting: &Setting) -> Disposition {
        match (&setting.value, self.package.database()) {
            (Value::Unknown(_), Database::Elsewhere(_)) => {
                Disposition::not_needed("Mattermost's database is elsewhere")
            }
            (Value::Unknown(why), _) => Disposition::Person(why.clone()),
            (Value::Bool(false), Database::Elsewhere(_)) => {
                let path = ["postgresql", "enable"];
                self.put(setting, Part::Postgresql, &path, Json::from(false), false)
            }
            (Value::Bool(false), Database::Bundled { .. } | Database::Undecided(_)) => {
                Disposition::person(
                    "PostgreSQL was off in GitLab's package, and where Mattermost's database was instead is not known: set mattermost.sql_data_source",
                )
            }
            _ => Disposition::not_needed("it runs where Mattermost does"),
        }
    }

    fn parameter(&mut self, setting: &Setting) -> Disposition {
        let value = match &setting.value {
            Value::Nil => return Disposition::not_needed("it has no value: the default counts"),
            Value::Bool(on) => Json::from(if *on { "on" } else { "off" }),
            Value::Int(it) => Json::from(*it),
            other => match coerce::typed(other, "string") {
                Ok(Some(text)) => text,
                Ok(None) => return Disposition::not_needed("it has no value"),
                Err(why) => return Disposition::Person(why),
            },
        };
        let path = ["postgresql", "parameters", setting.key.as_str()];
        self.put(setting, Part::Postgresql, &path, value, false)
    }
}

/// Columns of a line of `pg_hba.conf`, by Omnibus' names.
const HBA_COLUMNS: [&str; 6] = ["type", "database", "user", "cidr", "method", "option"];

/// Lines of `pg_hba.conf` from Omnibus' form: for each purpose a list with a hash for each line.
fn hba_lines(groups: &[Pair]) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for group in groups {
        let Value::List(entries) = &group.value else {
            let why = group.value.doubt();
            return Err(why.unwrap_or("it is no hash of lists").to_owned());
        };
        for entry in entries {
            lines.push(hba_line(entry)?);
        }
    }
    Ok(lines)
}

fn hba_line(entry: &Value) -> Result<String, String> {
    if let Some(why) = entry.doubt() {
        return Err(why.to_owned());
    }
    let Value::Hash(pairs) = entry else {
        return Err(
            "an entry is no hash of type, database, user, cidr, method and option".to_owned(),
        );
    };
    let strange = pairs.iter().find_map(|pair| {
        let key = pair.key.text().unwrap_or_default();
        (!HBA_COLUMNS.contains(&key.as_str())).then_some(key)
    });
    if let Some(key) = strange {
        return Err(format!(
            "an entry has `{key}`, which no line of pg_hba.conf has"
        ));
    }
    let columns = HBA_COLUMNS.map(|it| entry.get(it).text().unwrap_or_default());
    let columns: Vec<String> = columns.into_iter().filter(|it| !it.is_empty()).collect();
    Ok(columns.join(" "))
}
