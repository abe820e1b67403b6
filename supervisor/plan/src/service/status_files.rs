//! `[[status_files]]`: templates that are rendered while a service runs, whenever what they say of
//! it changes.
//!
//! Settings are taken when the plan is made, and so each template is tried: it is rendered for
//! every state that a service can be in, with and without all else that can be said. What could
//! fail later is refused here.

use minijinja::{Value, value::Serde};
use serde_json::json;

use crate::{
    model::{Escape, JobSituation, MaintenanceSituation, Situation, StatusFile, When},
    read::{document::Node, fields::Fields},
    resolve::{
        context::Context,
        locals::Locals,
        outcome::{Eval, TemplateSource},
        template::Templates,
        template_file::TemplateFile,
    },
    service::{
        key::{Key, KeyTable, compare},
        reader::Reader,
        tables::tables,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "status_files",
    doc: "files that say what the service does at the moment",
    read: |reader, fields, service| service.status_files = status_files(reader, fields),
    describe: |service, out| {
        for file in &service.status_files {
            let key = format!("status_files.\"{}\"", file.path.display());
            out.put(key, json!({ "when": file.when }));
        }
    },
    compare: compare!(status_files, InPlace),
    tables: &[KeyTable {
        header: "[[status_files]]",
        intro: "For a web server that has something to say while the service cannot be reached. Written by the supervisor \
        whenever what it says changes, at most twice a second; root's, readable by everybody (0644).",
        keys: &[
            ("path", "in a directory of root's"),
            (
                "template",
                "path of a template below services.d. It sees `situation`: `.state` (as `ctl status` has it), `.ready`, `.held` \
            (somebody has stopped it), `.blocked` (it waits for what is not on its way up), `.job` (none, or the job that has it \
            stopped: `.name`, its `.announcement` or none, `.percent` or none) and `.maintenance` (none, or `.message` or none, and `.since`), and settings as \
            `[[files]]` do. In `*.html.j2` text is escaped for HTML; in `*.json.j2` each `{{ … }}` becomes a value of JSON",
            ),
            (
                "when",
                "`always` (default), or `maintenance`: it is there during `ctl maintenance on` alone",
            ),
        ],
    }],
    ..Key::IDLE
}];

/// Name of the situation in the template.
const SITUATION: &str = "situation";
/// Longest status file, in bytes.
const STATUS_FILE_BYTES_MAX: usize = 64 << 10;
/// Every state that a service can be in.
const STATES: &[&str] = &[
    "stopped",
    "waiting",
    "spawning",
    "starting",
    "running",
    "reloading",
    "stopping",
    "backoff",
    "failed",
    "completed",
];

impl StatusFile {
    /// Text of the file in this situation; none: the file does not exist then.
    ///
    /// # Errors
    /// In words. A template that has been tried fails only where it does more than it may.
    pub fn render(&self, situation: &Situation) -> Result<Option<String>, String> {
        if self.when == When::Maintenance && situation.maintenance.is_none() {
            return Ok(None);
        }
        let settings = Value::from(Serde(&self.values));
        let now = Value::from_pairs([(SITUATION, Value::from(Serde(situation)))]);
        let context = minijinja::value::merge_maps([settings, now]);
        let parts = (self.template.iter()).map(|(name, text)| (name.as_str(), text.as_str()));
        let text = Templates::escaping(self.escape)
            .render_parts(parts, &context)
            .map_err(|error| crate::resolve::template::explain(&error))?;
        if text.len() > STATUS_FILE_BYTES_MAX {
            return Err(format!("is longer than {STATUS_FILE_BYTES_MAX} bytes"));
        }
        Ok(Some(text))
    }
}

/// Reads the status files of a service.
fn status_files(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<StatusFile> {
    let mut out: Vec<StatusFile> = Vec::new();
    for mut fields in tables(reader, fields, "status_files") {
        let at = fields.at.clone();
        let path = crate::service::tables::path(reader, &mut fields);
        let words = [("always", When::Always), ("maintenance", When::Maintenance)];
        let when = reader.word_key(&mut fields, "when", &words);
        let key = fields.key("template");
        let node = fields.node("template");
        if node.is_none() {
            reader.report().error(&at, &key, "is missing");
        }
        let template = node.and_then(|node| template(reader, node, &key));
        reader.finish(fields);
        let (Some(path), Some(file)) = (path, template) else {
            continue;
        };
        if out.iter().any(|other| other.path == path) {
            let message = format!("{} is rendered twice", path.display());
            reader.report().error(&at, "status_files.path", message);
        }
        out.push(StatusFile {
            path,
            when: when.unwrap_or_default(),
            ..file
        });
    }
    out
}

/// The template and its settings, tried; without its path.
fn template(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<StatusFile> {
    let name = reader.text(node, key)?;
    let file = reader.template_file(&name, &node.at, key)?;
    let locals = Locals::of(SITUATION, "");
    let namespace = reader.namespace.clone();
    let (text, origin) = (&file.main.text, TemplateSource::File(&file));
    if !reader.render {
        reader
            .resolver
            .names(&namespace, text, origin, key, &locals);
        return None;
    }
    let context = reader
        .resolver
        .context(&namespace, text, origin, key, &locals)?;
    if context.secret {
        let message = "takes a secret, but everybody may read the file";
        reader.report().error(&node.at, key, message);
        return None;
    }
    let parts = file.parts();
    let rendered = StatusFile {
        path: std::path::PathBuf::new(),
        when: When::Always,
        escape: escape_of(&name),
        template: parts.map(|it| (it.name.clone(), it.text.clone())).collect(),
        values: settings(&context),
    };
    tried(reader, &rendered, context, &file, key).then_some(rendered)
}

/// Values that the template takes from the plan.
fn settings(context: &Context) -> serde_json::Value {
    let mut all = serde_json::to_value(context.value()).unwrap_or_default();
    if let Some(all) = all.as_object_mut() {
        all.remove(SITUATION);
    }
    all
}

fn escape_of(name: &str) -> Escape {
    let name = name.strip_suffix(".j2").unwrap_or(name);
    match name.rsplit_once('.') {
        Some((_, "html")) => Escape::Html,
        Some((_, "json")) => Escape::Json,
        _ => Escape::None,
    }
}

/// Renders it for all that may come. False: it cannot be, which is reported.
fn tried(
    reader: &mut Reader<'_, '_>,
    rendered: &StatusFile,
    mut context: Context,
    file: &TemplateFile,
    key: &str,
) -> bool {
    let namespace = reader.namespace.clone();
    for situation in situations() {
        let value = Value::from(Serde(&situation));
        context.top.insert(SITUATION.to_owned(), value);
        let (text, origin) = (&file.main.text, TemplateSource::File(file));
        match (reader.resolver).render(&namespace, text, origin, key, &context) {
            Eval::Set { .. } => {}
            Eval::Broken(reason) => {
                reader.broken.get_or_insert(reason);
                return false;
            }
            Eval::Unset { .. } | Eval::Failed => return false,
        }
        let why = match rendered.render(&situation) {
            Ok(Some(text)) if rendered.escape == Escape::Json => {
                let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text);
                parsed.err().map(|error| format!("is no JSON: {error}"))
            }
            Ok(_) => None,
            Err(why) => Some(why),
        };
        if let Some(why) = why {
            let message = format!("in state `{}` {why}", situation.state);
            reader.report().error(&file.main.place(0), key, message);
            return false;
        }
    }
    true
}

/// All states, and all else that can be said in one of them.
fn situations() -> Vec<Situation> {
    let plain = |state: &str| Situation {
        state: state.to_owned(),
        ready: matches!(state, "running" | "reloading" | "completed"),
        held: false,
        blocked: false,
        job: None,
        maintenance: None,
    };
    let down = plain("stopped");
    let mut all: Vec<Situation> = STATES.iter().copied().map(plain).collect();
    all.push(Situation {
        held: true,
        ..down.clone()
    });
    all.push(Situation {
        blocked: true,
        ..plain("waiting")
    });
    for percent in [None, Some(0), Some(100)] {
        let job = JobSituation {
            name: "\"job\" <1>".to_owned(),
            announcement: percent.map(|_| "is being restored".to_owned()),
            percent,
        };
        all.push(Situation {
            job: Some(job),
            ..down.clone()
        });
    }
    for message in [None, Some("\"two\" <lines>\n& 'one'".to_owned())] {
        let since = "2000-01-01T00:00:00.000Z".to_owned();
        all.push(Situation {
            maintenance: Some(MaintenanceSituation { message, since }),
            ..plain("running")
        });
    }
    all
}
