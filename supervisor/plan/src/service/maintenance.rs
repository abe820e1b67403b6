//! `[maintenance]`: a service tells users of maintenance, and this is how that is seen.

use crate::{
    model::MaintenanceConfirm,
    read::fields::Fields,
    service::{
        key::{Key, KeyTable, compare},
        probes::{self, describe_question},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "maintenance",
    doc: "how it is seen that the service tells users of `ctl maintenance`",
    read: |reader, fields, service| service.maintenance = maintenance(reader, fields),
    describe: |service, out| {
        if let Some(it) = &service.maintenance {
            describe_question("maintenance", "attempt_timeout", &it.probe, out);
            out.put("maintenance.timeout", text::exact_duration(it.timeout_ms));
        }
    },
    compare: compare!(maintenance, InPlace),
    tables: &[KeyTable {
        header: "[maintenance]",
        intro: "Asked after `ctl maintenance on` until it succeeds, after `off` until there is another answer: only then that is done. \
        Not asked where the service is not ready, which is said.",
        keys: &[
            (
                "http, unix, status, body",
                "as in `[ready]`: an answer of this `status` with this `body` in it is one that tells users of maintenance",
            ),
            ("timeout", "longest time until it is seen (`5s`)"),
            (
                "interval, attempt_timeout",
                "of the attempts (`250ms`, `5s`)",
            ),
        ],
    }],
    ..Key::IDLE
}];

/// Neither all of it nor one attempt may take longer: whoever waits goes away at some time.
const TIMEOUT_MS_MAX: u64 = 15_000;
/// Time that an announcer of maintenance waits for its confirmation.
const TIMEOUT_MS: u64 = 5_000;
const INTERVAL_MS: u64 = 250;

/// A question by HTTP alone, since an answer must be told from none.
fn maintenance(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<MaintenanceConfirm> {
    let mut fields = fields.table("maintenance", reader.report())?;
    let at = fields.at.clone();
    let http = fields.entry("http").is_some();
    for way in ["tcp", "exec"] {
        if let Some(entry) = fields.entry(way) {
            let message = "does not say what users are told";
            let name = fields.key(way);
            let problem = reader.report().error(&entry.key_at, name, message);
            problem.hint("write http, with a status and a body");
        }
    }
    let pace = probes::attempts(reader, &mut fields, "attempt_timeout", INTERVAL_MS);
    let timeout_ms = reader.positive_duration_key(&mut fields, "timeout");
    let asked = probes::ask(reader, &mut fields);
    if !http {
        probes::nothing_asked(reader, &at, "maintenance", "http");
    }
    let too_long = |it: u64| it > TIMEOUT_MS_MAX;
    if too_long(pace.timeout_ms) || timeout_ms.is_some_and(too_long) {
        let seconds = TIMEOUT_MS_MAX / 1_000;
        let message = format!("whoever asks for maintenance waits for this: at most {seconds} s");
        reader.report().error(&at, "maintenance", message);
    }
    reader.finish(fields);
    let ask = asked.ok().flatten().filter(|_| http)?;
    Some(MaintenanceConfirm {
        probe: pace.of(ask),
        timeout_ms: timeout_ms.unwrap_or(TIMEOUT_MS),
    })
}
