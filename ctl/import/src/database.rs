//! Which database Mattermost had: one in GitLab's own PostgreSQL, another, or an unknown one.

use super::{
    environment::DATA_SOURCE,
    known::Known,
    package::{self, Package},
    ruby::Value,
};

/// The role that GitLab's package made for Mattermost.
pub(super) const SQL_USER: &str = "gitlab_mattermost";
/// Default name of Mattermost's database in GitLab's package.
pub(super) const DATABASE: &str = "mattermost_production";
/// Default directory of the socket of GitLab's PostgreSQL.
pub(super) const SOCKET_DIR: &str = "/var/opt/gitlab/postgresql";
/// Default port of PostgreSQL, GitLab's too.
pub(super) const PORT: &str = "5432";

/// Why a database is undecided where GitLab's own PostgreSQL was off.
const OFF: &str =
    "postgresql['enable'] is false, and nothing says where Mattermost's database was instead";

/// Why a setting for a part of the data source is left out.
pub(super) const SOURCE_COUNTS: &str =
    "it had no effect: the data source that Mattermost had names the database";

/// How Mattermost reached its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Database {
    /// A database in the package's own PostgreSQL, and its role.
    Bundled { user: String, name: String },
    /// A database outside the package, by its data source.
    Elsewhere(String),
    /// An unknown database, and why. An import must not put an empty database in its place.
    Undecided(String),
}

/// Parts of a data source, `user=… host=…` or `postgres://USER@HOST/NAME`.
#[derive(Debug, Default)]
struct Source {
    user: Option<String>,
    host: Option<String>,
    port: Option<String>,
    name: Option<String>,
}

impl Source {
    fn read(text: &str) -> Self {
        match text.split_once("://") {
            Some((_, rest)) => Self::of_url(rest),
            None => Self::of_words(text.split_whitespace()),
        }
    }

    fn of_words<'w>(words: impl Iterator<Item = &'w str>) -> Self {
        let mut source = Self::default();
        for (name, value) in words.filter_map(|it| it.split_once('=')) {
            let place = match name {
                "user" => &mut source.user,
                "host" => &mut source.host,
                "port" => &mut source.port,
                "dbname" => &mut source.name,
                _ => continue,
            };
            *place = Some(value.trim_matches('\'').to_owned());
        }
        source
    }

    fn of_url(rest: &str) -> Self {
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, name) = address.split_once('/').unwrap_or((address, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let user = user.split(':').next().unwrap_or_default();
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (place, ""),
        };
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let of_query = Self::of_words(query.split('&'));
        Self {
            user: said(user).or(of_query.user),
            host: said(host.trim_matches(['[', ']'])).or(of_query.host),
            port: said(port).or(of_query.port),
            name: said(name).or(of_query.name),
        }
    }
}

impl Package<'_> {
    /// How Mattermost reached its database.
    pub(super) fn database(&self) -> Database {
        match self.said_source() {
            Known::Set(source) => self.whose(&source),
            Known::Unset => self.bundled(),
            Known::Unknown(why) => Database::Undecided(why),
        }
    }

    /// The data source that a variable or a setting gives.
    fn said_source(&self) -> Known {
        match self.in_directory(DATA_SOURCE) {
            Some(source) => Known::Set(source.to_owned()),
            None => self.source_of_ruby(),
        }
    }

    fn source_of_ruby(&self) -> Known {
        let mut settings = self.settings.iter().rev();
        let of_env = settings
            .find(|it| it.section == "mattermost" && it.variable.as_deref() == Some(DATA_SOURCE));
        of_env
            .map_or(Known::Unset, |it| package::known_text(&it.value))
            .not_empty()
            .or(|| self.mattermost("sql_data_source").not_empty())
    }

    /// Whether a known data source names the database, so that the settings for its parts (role and
    /// name) had no effect.
    pub(super) fn source_counts(&self) -> bool {
        match self.source_of_ruby() {
            Known::Set(_) => true,
            Known::Unknown(_) => self.in_directory(DATA_SOURCE).is_some(),
            Known::Unset => false,
        }
    }

    /// The database in GitLab's own PostgreSQL, if that PostgreSQL ran.
    fn bundled(&self) -> Database {
        match self.said("postgresql", "enable") {
            Known::Set(Value::Bool(false)) => return Database::Undecided(OFF.to_owned()),
            Known::Unknown(why) => {
                return Database::Undecided(format!("whether GitLab's PostgreSQL ran: {why}"));
            }
            Known::Set(_) | Known::Unset => {}
        }
        let (user, name) = (self.role(), self.database_name());
        match user.and_then(|user| name.map(|name| Database::Bundled { user, name })) {
            Known::Set(bundled) => bundled,
            Known::Unknown(why) => Database::Undecided(why),
            Known::Unset => Database::Undecided("it has no name".to_owned()),
        }
    }

    fn role(&self) -> Known {
        self.text("postgresql", "sql_mattermost_user")
            .not_empty()
            .or_text(SQL_USER)
    }

    fn database_name(&self) -> Known {
        self.text("mattermost", "database_name")
            .not_empty()
            .or_text(DATABASE)
    }

    /// Which database a data source names: that of GitLab's package, or another.
    pub(super) fn whose(&self, source: &str) -> Database {
        let read = Source::read(source);
        let host = read.host.clone().unwrap_or_default();
        let bundled = if host.starts_with('/') {
            // Where gitlab.rb has no data source, the package made one for its own PostgreSQL.
            let made = self.source_of_ruby() == Known::Unset;
            match self.socket_dir() {
                Known::Unknown(why) if !made => return Database::Undecided(why),
                dir => made || dir.set().as_deref() == Some(host.trim_end_matches('/')),
            }
        } else {
            self.listens_at(&host, read.port.as_deref().unwrap_or(PORT))
        };
        if !bundled {
            return Database::Elsewhere(source.to_owned());
        }
        if self.off("postgresql") {
            return Database::Undecided(OFF.to_owned());
        }
        Database::Bundled {
            user: read.user.unwrap_or_else(|| SQL_USER.to_owned()),
            name: read.name.unwrap_or_else(|| DATABASE.to_owned()),
        }
    }

    /// Directory of the socket of GitLab's PostgreSQL.
    pub(super) fn socket_dir(&self) -> Known {
        let text = |key| self.text("postgresql", key).not_empty();
        text("unix_socket_directory")
            .or(|| text("dir"))
            .or_text(SOCKET_DIR)
            .map(|it| it.trim_end_matches('/').to_owned())
    }

    /// Port of GitLab's PostgreSQL.
    pub(super) fn port(&self) -> Known {
        self.text("postgresql", "port").not_empty().or_text(PORT)
    }

    /// Whether GitLab's PostgreSQL listens at this host and port of this machine.
    fn listens_at(&self, host: &str, port: &str) -> bool {
        let local = matches!(host, "localhost" | "::1") || host.starts_with("127.");
        let listens = self.text("postgresql", "listen_address").not_empty();
        local
            && listens.set().is_some()
            && !self.off("postgresql")
            && self.port().set().as_deref() == Some(port)
    }

    /// The data source that Mattermost had.
    pub(super) fn data_source(&self) -> Known {
        self.mattermost("sql_data_source").not_empty().or(|| {
            let parts = [
                ("user", self.role()),
                ("host", self.socket_dir()),
                ("port", self.port()),
                ("dbname", self.database_name()),
            ];
            let mut words = Vec::new();
            for (name, part) in parts {
                match part {
                    Known::Set(value) => words.push(format!("{name}={value}")),
                    Known::Unset => {}
                    Known::Unknown(why) => return Known::Unknown(why),
                }
            }
            Known::Set(words.join(" "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_in_both_forms() {
        for text in [
            "user=mm password=x host=/run/pg port=5433 dbname='chat'",
            "postgres://mm:p%40@/chat?host=/run/pg&port=5433&sslmode=disable",
        ] {
            let read = Source::read(text);
            let fields = [read.user, read.host, read.port, read.name];
            let wanted = ["mm", "/run/pg", "5433", "chat"].map(|it| Some(it.to_owned()));
            assert_eq!(fields, wanted, "{text}");
        }
        let read = Source::read("postgresql://[::1]:5433/chat");
        assert_eq!(
            (read.host.as_deref(), read.port.as_deref()),
            (Some("::1"), Some("5433"))
        );
        assert_eq!(Source::read("postgres://db.example.com/x").port, None);
    }
}
