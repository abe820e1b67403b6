//! Reads this host's files for Mattermost's settings about itself and GitLab.

use std::path::PathBuf;

use client::{Context, Error, Kind};
use plan::{Host, Options, Paths, Plan, Problems, RealHost, Severity};

use super::Secret;

/// Mattermost's service, in the catalogue and in both files.
pub(super) const SERVICE: &str = "mattermost";
/// From this version on Mattermost's free edition has no GitLab sign-on.
const LICENSED_FROM: u32 = 11;
const SITE_URL: &str = "MM_SERVICESETTINGS_SITEURL";
const ENABLE: &str = "MM_GITLABSETTINGS_ENABLE";
const ID: &str = "MM_GITLABSETTINGS_ID";
const SECRET: &str = "MM_GITLABSETTINGS_SECRET";
const AUTH_ENDPOINT: &str = "MM_GITLABSETTINGS_AUTHENDPOINT";
const AUTH_PATH: &str = "/oauth/authorize";

/// Mattermost's configuration on this host.
pub(super) struct LocalConfig {
    options: Options,
    /// Mattermost's settings.
    pub(super) told: Told,
    /// Version of the installed Mattermost, if known.
    version: Option<String>,
}

/// The settings that a plan gives to Mattermost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Mattermost's site URL.
    pub(super) site_url: String,
    /// Whether sign-on with GitLab is on.
    pub(super) enable: bool,
    /// The application's id.
    pub(super) id: Option<String>,
    /// The application's secret.
    pub(super) secret: Option<Secret>,
    /// GitLab's address, from the authorization endpoint.
    pub(super) gitlab_url: Option<String>,
}

/// `--root` and `--catalog` as absolute paths.
pub(super) fn options(context: &Context) -> Result<Options, Error> {
    let whole = |path: &PathBuf| {
        let failed = |error| {
            Error::new(
                Kind::Failed,
                format!("cannot find {}: {error}", path.display()),
            )
        };
        std::path::absolute(path).map_err(failed)
    };
    Ok(Options {
        root: whole(&context.root)?,
        catalog: context.catalog.as_ref().map(whole).transpose()?,
    })
}

/// The error for a configuration that cannot be used, with its first problem.
pub(super) fn wrong(problems: &Problems) -> Error {
    let errors = || {
        problems
            .0
            .iter()
            .filter(|it| it.severity == Severity::Error)
    };
    let first = errors().next().map(ToString::to_string).unwrap_or_default();
    let error = Error::new(
        Kind::Failed,
        format!("the configuration cannot be used: {first}"),
    );
    if errors().all(|it| it.denied) && errors().next().is_some() {
        let kind = Kind::NotAllowed;
        return Error { kind, ..error }.hint("this needs root: sudo ctl gitlab …");
    }
    match errors().count() {
        0 | 1 => error,
        many => error.hint(format!(
            "there are {many} errors: ctl check-config shows all"
        )),
    }
}

impl LocalConfig {
    /// Reads the files.
    pub(super) fn read(context: &Context) -> Result<Self, Error> {
        let options = options(context)?;
        let plan = plan::load(&RealHost, &options).map_err(|problems| wrong(&problems))?;
        let told = told(&plan)?;
        // An older catalogue may not define `version`.
        let text = "{% if version is defined %}{{ version }}{% endif %}";
        let version = plan::render_text(&RealHost, &options, SERVICE, text).ok();
        Ok(Self {
            options,
            told,
            version: version.filter(|it| !it.is_empty()),
        })
    }

    /// The site file.
    pub(super) fn site_file(&self) -> PathBuf {
        Paths::new(&self.options).site_file()
    }

    /// The secrets file.
    pub(super) fn secrets_file(&self) -> PathBuf {
        Paths::new(&self.options).secrets_file()
    }

    /// Mattermost's settings if `secrets.toml` had this text.
    pub(super) fn told_with(&self, secrets: String) -> Result<Told, Error> {
        let real: &dyn Host = &RealHost;
        let host = plan::OverlayHost::new(real, &self.secrets_file(), secrets);
        let plan = plan::load(&host, &self.options).map_err(|problems| wrong(&problems))?;
        told(&plan)
    }

    /// A remark on the edition of the installed version.
    pub(super) fn edition_remark(&self) -> Option<String> {
        let version = self.version.as_deref()?;
        let major: u32 = version.split('.').next()?.trim().parse().ok()?;
        (major >= LICENSED_FROM).then(|| {
            format!(
                "Mattermost {version} is installed: from version {LICENSED_FROM} on its free edition has no \
                 sign-on with GitLab any more. It needs a licence, or version 10"
            )
        })
    }
}

fn told(plan: &Plan) -> Result<Told, Error> {
    let Some(service) = plan.services.get(SERVICE) else {
        let dir = plan.paths.catalog_dir.display();
        return Err(Error::new(
            Kind::Failed,
            format!("there is no service {SERVICE} in {dir}"),
        )
        .hint(
            "--catalog or MATTERVISOR_CATALOG names the directory of the shipped service files",
        ));
    };
    if !service.enabled {
        let off = Error::new(Kind::Failed, "Mattermost is not enabled on this host");
        return Err(match service.enable_hint.as_str() {
            "" => off,
            hint => off.hint(hint),
        });
    }
    let value = |name: &str| {
        let value = service.env.get(name).map(|it| it.value.clone());
        value.filter(|it| !it.is_empty())
    };
    let Some(site_url) = value(SITE_URL) else {
        let file = plan.paths.site_file();
        return Err(
            Error::new(Kind::Failed, "it is not known where users reach Mattermost").hint(format!(
                "set mattermost_external_url = \"https://mattermost.example.com\" in {}",
                file.display()
            )),
        );
    };
    Ok(Told {
        site_url: site_url.trim_end_matches('/').to_owned(),
        enable: value(ENABLE).as_deref() == Some("true"),
        id: value(ID),
        secret: value(SECRET).map(Secret::new),
        gitlab_url: value(AUTH_ENDPOINT)
            .and_then(|it| it.strip_suffix(AUTH_PATH).map(str::to_owned)),
    })
}
