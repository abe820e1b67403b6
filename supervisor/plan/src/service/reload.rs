//! `[reload]` and `[reload.confirm]`.

use crate::{
    model::{OnChange, Probe, Reload, ReloadHow, RenderedFile, Service, reload_token},
    read::{fields::Fields, signal::Purpose},
    resolve::locals::Locals,
    service::{
        described::Described,
        key::{Key, KeyTable, compare},
        probes,
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "reload",
    doc: "how it takes a new configuration",
    read: |reader, fields, service| service.reload = reload(reader, fields),
    check,
    describe,
    compare: compare!(reload, InPlace),
    tables: &[
        KeyTable {
            header: "[reload]",
            intro: "",
            keys: &[
                ("signal", "such as `HUP`; not `KILL` or `STOP`"),
                (
                    "command",
                    "or a command, which has the pid of the main process in the variable `MAINPID`",
                ),
                (
                    "timeout",
                    "longest time of a reload, its confirmation included (`60s`)",
                ),
                (
                    "confirm",
                    "how it is seen that the program runs with the new configuration",
                ),
            ],
        },
        KeyTable {
            header: "[reload.confirm]",
            intro: "Asked after each reload until it succeeds. Where it has not when `timeout` of `[reload]` is over, the reload has failed.",
            keys: &[
                (
                    "http, exec, status, body",
                    "as in `[ready]`. In `body`, in the URL and in the arguments of `exec`, as in `[[files]]`, `{{ reload_token }}` stands for a word that is another at each start and reload: a program that answers with it has read its files",
                ),
                (
                    "interval, attempt_timeout",
                    "of the attempts (`250ms`, `5s`)",
                ),
            ],
        },
    ],
    ..Key::IDLE
}];

const TIMEOUT_MS: u64 = 60_000;
const CONFIRM_INTERVAL_MS: u64 = 250;

fn describe(service: &Service, out: &mut Described) {
    if let Some(reload) = &service.reload {
        match &reload.how {
            ReloadHow::Signal(number) => out.put("reload.signal", text::signal::shown(*number)),
            ReloadHow::Command(argv) => out.put("reload.command", argv),
        }
        out.put("reload.timeout", text::exact_duration(reload.timeout_ms));
        if let Some(it) = &reload.confirm {
            probes::describe_question("reload.confirm", "attempt_timeout", it, out);
        }
    }
}

fn reload(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Reload> {
    let mut fields = fields.table("reload", reader.report())?;
    let signal = reader
        .signal_key(&mut fields, "signal", Purpose::Reload)
        .map(ReloadHow::Signal);
    // `command` exists at the top level too: here it is known.
    let command = reader
        .argv_key(&mut fields, "command")
        .map(ReloadHow::Command);
    if fields.entry("signal").is_some() == fields.entry("command").is_some() {
        reader
            .report()
            .error(&fields.at, "reload", "needs either signal or command");
    }
    let timeout_ms = (reader.positive_duration_key(&mut fields, "timeout")).unwrap_or(TIMEOUT_MS);
    let confirm = confirm(reader, &mut fields);
    reader.finish(fields);
    Some(Reload {
        how: signal.or(command)?,
        timeout_ms,
        confirm,
    })
}

/// Asked until the answer is a yes, or the reload has taken too long.
fn confirm(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Probe> {
    const WAYS: [&str; 2] = ["http", "exec"];
    let mut fields = fields.table("confirm", reader.report())?;
    let at = fields.at.clone();
    let key = "reload.confirm";
    let (ways, others): (Vec<&str>, Vec<&str>) =
        (probes::ways(&mut fields).into_iter()).partition(|way| WAYS.contains(way));
    for way in others {
        if let Some(entry) = fields.entry(way) {
            let message = "says nothing of the configuration that a program runs with";
            let name = fields.key(way);
            let problem = reader.report().error(&entry.key_at, name, message);
            problem.hint("write http with a body, or exec");
            reader.finish(fields);
            return None;
        }
    }
    let pace = probes::attempts(reader, &mut fields, "attempt_timeout", CONFIRM_INTERVAL_MS);
    reader.locals = Locals::of("reload_token", reload_token::BLANK);
    let asked = probes::ask(reader, &mut fields);
    reader.locals = Locals::NONE;
    match ways.as_slice() {
        [] => probes::nothing_asked(reader, &at, key, "http or exec"),
        [_] => {}
        _ => probes::exclude(reader, &at, key, &ways),
    }
    reader.finish(fields);
    let ask = asked.ok().flatten()?;
    Some(pace.of(ask))
}

/// Checks that a token that is asked for is in a file, where the program reads it, and that no
/// change of that file is a reason for the next reload.
fn check(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &mut Service) {
    let confirm = service.reload.as_ref().and_then(|it| it.confirm.as_ref());
    let asks = confirm.is_some_and(|it| it.ask.has_token());
    if let Some(entry) = fields.entry("reload")
        && reader.render
        && asks
        && !service.has_reload_token()
    {
        let message = "asks for the `reload_token`, which is in no file of this service";
        let problem = (reader.report()).error(&entry.node.at, "reload.confirm", message);
        problem.hint("write {{ reload_token }} into a file that the program reads at a reload, and answers with");
    }
    let own = service.files.iter();
    let mut own = own.filter(|file| reload_token::has_token(&file.content));
    let is_acted_on = |file: &RenderedFile| {
        let mut watches = service.watches.iter();
        watches.any(|it| it.path == file.path && it.on_change != OnChange::Nothing)
    };
    if let Some(file) = own.find(|file| is_acted_on(file))
        && let Some(entry) = fields.entry("watches")
    {
        let path = file.path.display();
        let message = format!("{path} has a `reload_token`, which is written anew by each reload");
        let problem = (reader.report()).error(&entry.key_at, "watches", message);
        problem.hint("watch another file, or leave the token out: it would reload for ever");
    }
}
