//! What Mattermost's environment says of where things are: it wins over Mattermost's own configuration.

use plan::{Options, RealHost, load};

use crate::configuration::Configuration;

/// Where Mattermost's configuration is: a path, or the address of a database.
const CONFIG: &str = "MM_CONFIG";
/// Where uploaded files are.
const DRIVER: &str = "MM_FILESETTINGS_DRIVERNAME";

/// Parts of the environment.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The configuration is in the database.
    pub(super) in_database: bool,
    /// Where uploaded files are.
    pub(super) file_driver: Option<String>,
}

impl Environment {
    /// As the files of the supervisor say it. From files that do not check nothing is learned: what runs
    /// is not what they say either.
    pub(super) fn of(configuration: &Configuration) -> Self {
        let options = Options {
            root: configuration.root.clone(),
            catalog: Some(configuration.catalog.clone()),
        };
        let Ok(plan) = load(&RealHost, &options) else {
            return Self::default();
        };
        let service = plan.services.get(&configuration.service);
        let value = |name| {
            let variable = service?.env.get(name)?;
            Some(variable.value.clone()).filter(|value| !value.is_empty())
        };
        let schemes = ["postgres://", "postgresql://", "mysql://"];
        let config = value(CONFIG).unwrap_or_default();
        Self {
            in_database: schemes.iter().any(|scheme| config.starts_with(scheme)),
            file_driver: value(DRIVER),
        }
    }
}
