//! Checks that a server can sort and encode a database as the saved one, before a database is
//! created.

use super::{
    facts::Facts,
    session::{Session, literal},
};
use crate::{Error, Refusal};

/// First version with built-in locales.
const BUILTIN_MAJOR: u64 = 17;

/// Refuses an encoding or a locale that this server does not know, by its name.
pub(crate) fn known(session: &mut Session, facts: &Facts) -> Result<(), Error> {
    let version = session.ask("SHOW server_version")?;
    let server = version.into_iter().next().unwrap_or_default();
    let encoding = literal(&facts.encoding);
    if session.number(&format!(
        "SELECT (pg_char_to_encoding({encoding}) < 0)::int"
    ))? > 0
    {
        let encoding = facts.encoding.clone();
        return Err(Refusal::Encoding { encoding, server }.into());
    }
    let locale = facts.locale.clone().unwrap_or_default();
    match facts.locale_provider.as_deref() {
        Some("i") => {
            let icu = "SELECT count(*) FROM pg_catalog.pg_collation WHERE collprovider = 'i'";
            if session.number(icu)? == 0 {
                return Err(Refusal::Icu { locale, server }.into());
            }
        }
        Some("b") => {
            let major = "SELECT current_setting('server_version_num')::int / 10000";
            if session.number(major)? < BUILTIN_MAJOR {
                return Err(Refusal::Builtin { locale, server }.into());
            }
        }
        _ => {}
    }
    for locale in [&facts.collate, &facts.ctype] {
        if !has_locale(session, locale, &facts.encoding)? {
            let locale = locale.clone();
            return Err(Refusal::Locale { locale }.into());
        }
    }
    Ok(())
}

/// Whether the server can load a locale of the operating system. If the probe itself cannot run,
/// the locale counts as present: the server reports a missing one when it creates the database.
fn has_locale(session: &mut Session, locale: &str, encoding: &str) -> Result<bool, Error> {
    let (locale, encoding) = (literal(locale), literal(encoding));
    session.ask(&format!(
        "SELECT set_config('mattervisor.locale', {locale}, false), set_config('mattervisor.missing', 'no', false) \
         WHERE getdatabaseencoding() = {encoding}"
    ))?;
    // Text from outside is a quoted literal, never a part of the executed block.
    session.ask(
        "DO $probe$ BEGIN \
         IF coalesce(current_setting('mattervisor.locale', true), '') = '' THEN RETURN; END IF; \
         EXECUTE format('CREATE COLLATION pg_temp.mattervisor_probe (PROVIDER = libc, LOCALE = %L)', \
             current_setting('mattervisor.locale')); \
         DROP COLLATION pg_temp.mattervisor_probe; \
         EXCEPTION WHEN invalid_parameter_value THEN \
             PERFORM set_config('mattervisor.missing', 'yes', false); \
         WHEN OTHERS THEN NULL; END $probe$",
    )?;
    let missing = session.number(
        "SELECT (coalesce(current_setting('mattervisor.missing', true), '') = 'yes')::int",
    )?;
    session.ask("RESET mattervisor.locale")?;
    session.ask("RESET mattervisor.missing")?;
    Ok(missing == 0)
}
