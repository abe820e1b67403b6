//! Reads from Mattermost's environment where its configuration and its files are. The environment
//! overrides Mattermost's own configuration.

use plan::{Options, RealHost, load};

use crate::configuration::Configuration;

/// Variable with the place of Mattermost's configuration: a path, or the address of a database.
const CONFIG: &str = "MM_CONFIG";
/// Variable with the driver of uploaded files.
const DRIVER: &str = "MM_FILESETTINGS_DRIVERNAME";

/// The parts of the environment that a backup needs.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Whether Mattermost keeps its configuration in the database.
    pub(super) in_database: bool,
    /// The driver of uploaded files, if set.
    pub(super) file_driver: Option<String>,
}

impl Environment {
    /// Reads the environment from the supervisor's files. Files that fail their check yield
    /// nothing: the running environment does not come from them.
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
