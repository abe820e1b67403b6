//! `[maintenance]`: a service tells users of maintenance, and this is how that is seen.

use crate::{MaintenanceConfirm, fields::Fields, probes, reader::Reader, setting::SERVICE_KEYS};

/// Neither all of it nor one attempt may take longer: whoever waits goes away at some time.
const TIMEOUT_MS_MAX: u64 = 15_000;
/// Whoever has said that there is maintenance waits so long for it to be seen.
const TIMEOUT_MS: u64 = 5_000;
const INTERVAL_MS: u64 = 250;

/// A question by HTTP alone, since an answer must be told from none.
pub(crate) fn maintenance(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
) -> Option<MaintenanceConfirm> {
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
    fields.finish(&SERVICE_KEYS, reader.report());
    let ask = asked.ok().flatten().filter(|_| http)?;
    Some(MaintenanceConfirm {
        probe: pace.of(ask),
        timeout_ms: timeout_ms.unwrap_or(TIMEOUT_MS),
    })
}
