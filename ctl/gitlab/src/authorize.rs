//! `ctl gitlab authorize` and `ctl gitlab reauthorize`: an OAuth application in GitLab, and its id
//! and secret here. The state in GitLab and in this host's files decides what to do.
//!
//! Invariant: GitLab creates or renews a secret only after this host has reserved room for the
//! secret and has checked that the site file does not override it.

use client::{Context, Error, Kind, render::shown};

use super::{
    api::{Gitlab, base_url},
    application::{Application, NAME, SCOPE, Told, by_redirects, redirect_uris},
    input::{self, AuthorizeWith},
    local_config::LocalConfig,
    report::{self, Action, Done},
    store::{self, Prepared, Values},
};

/// What to do about an existing application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Leave the application as it is.
    Authorize,
    /// Renew the application's secret, or replace the application.
    Reauthorize,
}

/// Authorizes or reauthorizes, and prints what was done and what is left to do.
pub(crate) fn run(context: &Context, with: &AuthorizeWith, mode: Mode) -> Result<u8, Error> {
    let here = LocalConfig::read(context)?;
    let (token, token_remark) = input::token(&with.token_file)?;
    let url = url(with, &here)?;
    let job = Job {
        uris: redirect_uris(&here.told.site_url),
        gitlab: Gitlab::new(&url, token, with.ca_file.as_deref(), context.timeout)?,
        here,
        dry_run: with.dry_run,
    };
    let all = job.gitlab.list()?;
    let mut done = match mode {
        Mode::Authorize => job.authorize(&all)?,
        Mode::Reauthorize => job.reauthorize(&all)?,
    };
    let plain = in_the_clear(&url)
        .then(|| format!("{url} is not encrypted: the token went over the network as it is"));
    let remarks = [job.here.edition_remark(), token_remark, plain];
    done.remarks.extend(remarks.into_iter().flatten());
    report::print(context, &job.here, &url, &job.uris, &done, with.dry_run)?;
    Ok(0)
}

/// Whether others on the network could have read the token.
fn in_the_clear(url: &str) -> bool {
    let rest = url.strip_prefix("http://");
    rest.is_some_and(|rest| {
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        !["127.0.0.1", "localhost", "[::1]"].contains(&host)
    })
}

fn url(with: &AuthorizeWith, here: &LocalConfig) -> Result<String, Error> {
    let given = with.url.as_ref().or(here.told.gitlab_url.as_ref());
    let given = given.ok_or_else(|| {
        Error::new(Kind::Usage, "it is not known where GitLab is")
            .hint("--url https://gitlab.example.com")
    })?;
    base_url(given)
}

/// One run: this host's files, GitLab, and the redirect URIs.
struct Job {
    here: LocalConfig,
    gitlab: Gitlab,
    uris: [String; 2],
    dry_run: bool,
}

impl Job {
    fn authorize(&self, all: &[Application]) -> Result<Done, Error> {
        let Some(id) = &self.here.told.id else {
            return match by_redirects(all, &self.uris) {
                Some(known) => Err(self.untold(known)),
                None => self.create(Action::Created, &[]),
            };
        };
        let known = all.iter().find(|it| it.client_id == *id);
        let known = known.ok_or_else(|| {
            let base = shown(self.gitlab.base());
            Error::new(
                Kind::Failed,
                format!("{base} has no application with the id that is configured here"),
            )
            .hint("is it the right GitLab? if the application was removed there: ctl gitlab reauthorize")
        })?;
        if !known.redirects_to(&self.uris) {
            return Err(self.elsewhere(known));
        }
        let Some(secret) = &self.here.told.secret else {
            return Err(self.untold(known));
        };
        if !self.gitlab.secret_is_right(id, secret, &self.uris[1])? {
            return Err(Error::new(
                Kind::Failed,
                "the secret that is configured here is not the one that GitLab has",
            )
            .hint("ctl gitlab reauthorize makes a new one in both places"));
        }
        self.found(known)
    }

    /// The application is right; stores the address and the switch if the configuration lacks them.
    fn found(&self, known: &Application) -> Result<Done, Error> {
        let mut done = Done::new(Action::Found, Some(known.clone()));
        if !known.confidential {
            done.remarks.push(format!(
                "`{}` is not confidential in GitLab, so its secret protects nothing: ctl gitlab reauthorize",
                shown(&known.name)
            ));
        }
        if !known.may_read_users() {
            done.remarks.push(format!(
                "`{}` may not read users in GitLab: give it the scope {SCOPE} there",
                shown(&known.name)
            ));
        }
        let told = &self.here.told;
        if told.enable && told.gitlab_url.as_deref() == Some(self.gitlab.base()) {
            return Ok(done);
        }
        let values = Values {
            url: self.gitlab.base().to_owned(),
            client: None,
        };
        if let Some(prepared) = self.prepared(&values)? {
            prepared.store(&values)?;
        }
        done.stored = values.names();
        Ok(done)
    }

    fn reauthorize(&self, all: &[Application]) -> Result<Done, Error> {
        let id = self.here.told.id.as_ref();
        let by_id = id.and_then(|id| all.iter().find(|it| it.client_id == *id));
        let Some(known) = by_id.or_else(|| by_redirects(all, &self.uris)) else {
            return self.create(Action::Created, &[]);
        };
        if !known.confidential || !known.redirects_to(&self.uris) {
            return self.create(Action::Replaced, &[known]);
        }
        let expected = Values::expected(self.gitlab.base());
        let Some(prepared) = self.prepared(&expected)? else {
            let mut done = Done::new(Action::Renewed, Some(known.clone()));
            done.stored = expected.names();
            return Ok(done);
        };
        let renewed = (self.gitlab.renew(known)).map_err(|error| match error.kind {
            Kind::Failed => error.hint(
                "should GitLab have renewed the secret all the same: run ctl gitlab reauthorize again",
            ),
            _ => error,
        });
        let Some(told) = renewed? else {
            drop(prepared);
            return self.create(Action::Replaced, &[known]);
        };
        let values = self.values(&told);
        prepared.store(&values).map_err(|error| {
            error.hint(
                "GitLab has renewed the secret already: nobody can sign on with GitLab until \
                 ctl gitlab reauthorize has succeeded",
            )
        })?;
        let mut done = Done::new(Action::Renewed, Some(told.application));
        done.stored = values.names();
        Ok(done)
    }

    /// Creates an application and stores its secret; then removes the applications to replace.
    fn create(&self, action: Action, replaced: &[&Application]) -> Result<Done, Error> {
        let expected = Values::expected(self.gitlab.base());
        let mut done = Done::new(action, None);
        done.stored = expected.names();
        let Some(prepared) = self.prepared(&expected)? else {
            return Ok(done);
        };
        let told = (self.gitlab.create(&self.uris)).map_err(|error| match error.kind {
            Kind::Failed => error.hint(
                "should GitLab have made the application all the same: ctl gitlab reauthorize takes it over",
            ),
            _ => error,
        })?;
        if let Err(error) = prepared.store(&self.values(&told)) {
            let id = told.application.id;
            return Err(error.hint(match self.gitlab.delete(&told.application) {
                Ok(()) => "the application that GitLab had just made was removed again".to_owned(),
                Err(_) => format!(
                    "GitLab has an application that nobody uses now: remove `{NAME}` with the number {id} there"
                ),
            }));
        }
        for old in replaced {
            if let Err(error) = self.gitlab.delete(old) {
                let name = shown(&old.name);
                done.remarks.push(format!(
                    "the old application `{name}` (number {}) could not be removed: {}",
                    old.id, error.message
                ));
            }
        }
        done.application = Some(told.application);
        Ok(done)
    }

    fn values(&self, told: &Told) -> Values {
        let client = (told.application.client_id.clone(), told.secret.clone());
        Values {
            url: self.gitlab.base().to_owned(),
            client: Some(client),
        }
    }

    /// Reserves room for the values, after a check that the site file overrides none of them.
    /// `None` in a dry run.
    fn prepared(&self, values: &Values) -> Result<Option<Prepared>, Error> {
        let path = self.here.secrets_file();
        let told = self.here.told_with(values.to_text(&store::read(&path)?)?)?;
        let mut losers = Vec::new();
        let mut check = |key: &'static str, wins: bool| {
            if !wins {
                losers.push(key);
            }
        };
        check("mattermost.gitlab_enable", told.enable);
        let url = told.gitlab_url.as_deref();
        check("mattermost.gitlab_url", url == Some(values.url.as_str()));
        if let Some((id, secret)) = &values.client {
            check("mattermost.gitlab_id", told.id.as_ref() == Some(id));
            check(
                "mattermost.gitlab_secret",
                told.secret.as_ref() == Some(secret),
            );
        }
        if !losers.is_empty() {
            let site = self.here.site_file();
            let (site, secrets) = (site.display(), path.display());
            let keys = losers.join(", ");
            return Err(Error::new(
                Kind::Failed,
                format!("{site} says otherwise than {secrets} would, and wins: {keys}"),
            )
            .hint(format!(
                "remove these from {site} (also the endpoints, and MM_GITLABSETTINGS_… in \
                 mattermost.env), then run this again; nothing was changed"
            )));
        }
        if self.dry_run {
            return Ok(None);
        }
        Prepared::new(&path, values).map(Some)
    }

    /// The error for an application in GitLab whose secret is not known here.
    fn untold(&self, known: &Application) -> Error {
        let base = shown(self.gitlab.base());
        let name = shown(&known.name);
        Error::new(
            Kind::Failed,
            format!(
                "{base} has the application `{name}` for this Mattermost already, but its secret is \
                 not known here, and GitLab tells it only once"
            ),
        )
        .hint("ctl gitlab reauthorize gives it a new secret; what used the old one must then be told too")
        .hint(format!(
            "or, if you have it: mattermost.gitlab_id = \"{}\" and mattermost.gitlab_secret in {}",
            shown(&known.client_id),
            self.here.secrets_file().display()
        ))
    }

    /// The error for an application that redirects users to other addresses.
    fn elsewhere(&self, known: &Application) -> Error {
        let name = shown(&known.name);
        let now: Vec<_> = known.callback_url.split_whitespace().map(shown).collect();
        Error::new(
            Kind::Failed,
            format!(
                "the application `{name}` in GitLab sends users to {}, not to {}",
                text::list(&now),
                text::list(&self.uris)
            ),
        )
        .hint("change its redirect URIs in GitLab's admin area, under Applications")
        .hint("or let ctl gitlab reauthorize put another in its place")
    }
}

#[cfg(test)]
mod tests {
    use super::in_the_clear;

    #[test]
    fn plain_http_is_told_where_others_could_listen() {
        for (url, told) in [
            ("https://gitlab.example.com", false),
            ("http://gitlab.example.com", true),
            ("http://localhost.example.com:80/git", true),
            ("http://localhost", false),
            ("http://127.0.0.1:8080/git", false),
            ("http://[::1]:8080", false),
        ] {
            assert_eq!(in_the_clear(url), told, "{url}");
        }
    }
}
