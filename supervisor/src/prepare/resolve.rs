//! Look-ups for a service before its start: ids of its account, and its programs.

use std::collections::BTreeMap;

use keeper::message::Ids;
use plan::Service;

use super::addresses::{Address, literals};
use crate::{lookups::Lookups, programs::PATH, unready::Unready};

/// Results of the look-ups for a service, at the time of the look-up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    /// Ids; none: the supervisor's own.
    pub(crate) ids: Option<Ids>,
    /// Absolute path of `command[0]`.
    pub(crate) program: String,
    /// Programs of its validators, reload command and probes, by the given name.
    pub(crate) helpers: BTreeMap<String, Result<String, String>>,
    /// Where it listens.
    pub(crate) listens: Vec<Address>,
}

/// Ids and programs of a service, and those of its addresses that are no names.
pub(crate) fn resolve(service: &Service, lookups: &Lookups) -> Result<Resolved, Unready> {
    let path = service.env.get("PATH").map_or(PATH, |it| it.value.as_str());
    let name = service.command.first().map_or("", String::as_str);
    let helpers = helpers(service)
        .filter_map(|argv| argv.first())
        .map(|name| (name.clone(), lookups.program(name, path)));
    Ok(Resolved {
        ids: lookups.ids(service)?,
        program: lookups
            .program(name, path)
            .map_err(|why| Unready::lasting(why).hinted(&service.command_hint))?,
        helpers: helpers.collect(),
        listens: literals(service),
    })
}

/// Commands that are executed as the service's account besides its own.
fn helpers(service: &Service) -> impl Iterator<Item = &Vec<String>> {
    let reload = service.reload.as_ref();
    let command = reload.and_then(|it| match &it.how {
        plan::ReloadHow::Command(argv) => Some(argv),
        plan::ReloadHow::Signal(_) => None,
    });
    let confirm = reload.and_then(|it| it.confirm.as_ref());
    let ready = match &service.ready.kind {
        plan::ReadyKind::Probe(probe) => Some(probe),
        _ => None,
    };
    let probes = [
        ready,
        confirm,
        service.liveness.as_ref(),
        service.health.as_ref(),
    ];
    let probes = probes.into_iter().flatten().filter_map(|it| match &it.ask {
        plan::Ask::Exec(argv) => Some(argv),
        _ => None,
    });
    let files = service.files.iter().map(|file| &file.validate);
    let validate = std::iter::once(&service.validate);
    validate.chain(command).chain(probes).chain(files)
}
