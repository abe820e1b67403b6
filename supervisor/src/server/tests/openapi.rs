//! Generates `api/openapi.json` from the types and the routes, and compares the file with the
//! result.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};

use super::super::{
    health::HealthQuery,
    history_routes,
    log_routes::RotateQuery,
    maintenance::MaintenanceQuery,
    openapi::DOCUMENT,
    paths::ROUTES,
    routes::{ChangeQuery, NamesQuery, OneStatusQuery, ReconfigureQuery, ReexecQuery, StatusQuery},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api/openapi.json");
/// Environment variable that makes the test rewrite the file.
pub(super) const UPDATE: &str = "UPDATE_OPENAPI";

/// Gathers operations and the schemas that they use.
struct Document {
    replies: SchemaGenerator,
    requests: SchemaGenerator,
    paths: BTreeMap<String, Map<String, Value>>,
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.contract = contract;
    settings.into_generator()
}

impl Document {
    fn new() -> Self {
        Self {
            replies: generator(Contract::Serialize),
            requests: generator(Contract::Deserialize),
            paths: BTreeMap::new(),
        }
    }

    fn json<T: JsonSchema>(&mut self) -> Value {
        json!({ "application/json": { "schema": self.replies.subschema_for::<T>() } })
    }

    /// The content of a stream with one JSON value per line; the schema describes a line.
    fn lines<T: JsonSchema>(&mut self) -> Value {
        json!({ "application/x-ndjson": { "schema": self.replies.subschema_for::<T>() } })
    }

    /// The parameters of a query.
    fn query<T: JsonSchema>(&mut self) -> Vec<Value> {
        let schema = self.requests.root_schema_for::<T>().to_value();
        let keys = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let parameter = |(name, mut schema): (String, Value)| {
            let description = schema.as_object_mut().unwrap().remove("description");
            let mut it =
                json!({ "name": name, "in": "query", "required": false, "schema": schema });
            if let Some(description) = description {
                it["description"] = description;
            }
            it
        };
        keys.into_iter().map(parameter).collect()
    }

    /// Adds an operation; `route` is as in the table of routes.
    fn add(&mut self, route: (&str, &str), say: (&str, &str), query: Vec<Value>, content: Value) {
        let (method, path) = route;
        let (id, summary) = say;
        let variable = path
            .split('/')
            .filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
        let variable = variable.map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        });
        let parameters: Vec<Value> = variable.chain(query).collect();
        let mut operation = json!({
            "operationId": id,
            "summary": summary,
            "responses": {
                "200": { "description": "As asked." },
                "default": { "$ref": "#/components/responses/Error" },
            },
        });
        operation["responses"]["200"]["content"] = content;
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if path == "/readyz" {
            let content = json!({ "text/plain": { "schema": { "type": "string" } } });
            operation["responses"]["503"] =
                json!({ "description": "Not ready.", "content": content });
        }
        let body = match (method, path) {
            ("POST", "/v1/services") => Some(self.requests.subschema_for::<api::ActionRequest>()),
            ("POST", "/v1/jobs/{name}") => Some(self.requests.subschema_for::<api::JobRequest>()),
            ("POST", "/v1/leases") => Some(self.requests.subschema_for::<api::LeaseRequest>()),
            ("DELETE", "/v1/leases") => Some(self.requests.subschema_for::<api::ReleaseRequest>()),
            ("PUT", "/v1/maintenance") => {
                Some(self.requests.subschema_for::<api::MaintenanceRequest>())
            }
            _ => None,
        };
        if let Some(schema) = body {
            operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        let of_path = self.paths.entry(path.to_owned()).or_default();
        of_path.insert(method.to_lowercase(), operation);
    }

    fn finish(mut self) -> Value {
        let error = self.json::<api::ErrorReply>();
        let mut schemas = self.replies.take_definitions(true);
        for (name, schema) in self.requests.take_definitions(true) {
            let before = schemas.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|it| it == schema), "{name} has two forms");
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Mattervisor",
                "version": "1",
                "description": "The control socket of the supervisor, run/mattervisor/ctl.sock: \
                    HTTP/1.1 and JSON. Who may ask what is decided by the credentials of the peer.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "http://localhost", "description": "over the unix socket" }],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "responses": {
                    "Error": { "description": "It could not be done, and why.", "content": error },
                },
            },
        })
    }
}

fn look(it: &mut Document) {
    let (query, reply) = (it.query::<StatusQuery>(), it.json::<api::StatusReply>());
    let say = ("status", "What runs, is it ready, since when, why not.");
    it.add(("GET", "/v1/services"), say, query, reply);
    let (query, reply) = (
        it.query::<OneStatusQuery>(),
        it.json::<api::ServiceStatus>(),
    );
    let say = ("serviceStatus", "The same of one service.");
    it.add(("GET", "/v1/services/{name}"), say, query, reply);
    let reply = it.json::<api::Why>();
    let say = ("why", "Why a service is what it is: the chain of causes.");
    it.add(("GET", "/v1/why/{name}"), say, Vec::new(), reply);
    let (query, reply) = (
        it.query::<history_routes::EventQuery>(),
        it.lines::<api::ServiceEvent>(),
    );
    let say = ("events", "What has happened, and goes on to happen.");
    it.add(("GET", "/v1/events"), say, query, reply);
    let (query, reply) = (it.query::<api::LogQuery>(), it.lines::<api::LogLine>());
    let say = ("logs", "What services have written.");
    it.add(("GET", "/v1/logs"), say, query, reply);
    let (query, reply) = (
        it.query::<history_routes::ChangeQuery>(),
        it.lines::<api::ChangeRecord>(),
    );
    let say = ("changes", "Who has changed what.");
    it.add(("GET", "/v1/changes"), say, query, reply);
    let (query, reply) = (
        it.query::<history_routes::ChangeQuery>(),
        it.lines::<api::ExitRecord>(),
    );
    let say = ("exits", "How and why runs of services have ended.");
    it.add(("GET", "/v1/exits"), say, query, reply);
    let reply = it.json::<api::Outcome>();
    let say = ("outcome", "How a change ended; 404 if it never arrived.");
    it.add(("GET", "/v1/changes/{id}"), say, Vec::new(), reply);
    let reply = it.json::<api::MaintenanceReply>();
    let say = ("maintenance", "Whether users are told of maintenance.");
    it.add(("GET", "/v1/maintenance"), say, Vec::new(), reply);
    let reply = it.json::<api::CheckReply>();
    let say = ("check", "What is wrong with the files as they are now.");
    it.add(("GET", "/v1/check"), say, Vec::new(), reply);
    let (query, reply) = (it.query::<NamesQuery>(), it.json::<api::PlanReply>());
    let say = ("plan", "The plan that runs, without its secrets.");
    it.add(("GET", "/v1/plan"), say, query, reply);
    let reply = it.json::<api::ToolsReply>();
    let say = ("tools", "Programs that people run by ctl.");
    it.add(("GET", "/v1/tools"), say, Vec::new(), reply);
    let (query, reply) = (it.query::<NamesQuery>(), it.json::<api::DiffReply>());
    let say = ("diff", "What a reconfigure would change.");
    it.add(("GET", "/v1/diff"), say, query, reply);
}

fn act(it: &mut Document) {
    let reply = it.lines::<api::Progress>();
    let say = (
        "act",
        "Start, stop, restart, reload or signal many services.",
    );
    it.add(("POST", "/v1/services"), say, Vec::new(), reply.clone());
    let query = it.query::<ChangeQuery>();
    let say = (
        "actOnOne",
        "start, once, stop, restart or reload one service.",
    );
    let path = "/v1/services/{name}/{action}";
    it.add(("POST", path), say, query.clone(), reply.clone());
    let say = (
        "signalOne",
        "Send a signal to the main process of one service.",
    );
    let path = "/v1/services/{name}/signal/{signal}";
    it.add(("POST", path), say, query, reply.clone());
    let query = it.query::<ReconfigureQuery>();
    let say = (
        "reconfigure",
        "Read the files again and apply the difference, or say what that would do, or go back.",
    );
    it.add(("POST", "/v1/reconfigure"), say, query, reply.clone());
    let say = (
        "job",
        "Ask a job for its work; the last line has its result.",
    );
    it.add(("POST", "/v1/jobs/{name}"), say, Vec::new(), reply.clone());
    let say = (
        "lease",
        "Have services stopped for a job that runs, until it gives them back or ends.",
    );
    it.add(("POST", "/v1/leases"), say, Vec::new(), reply.clone());
    let say = ("release", "Give back all that a job has had stopped.");
    it.add(("DELETE", "/v1/leases"), say, Vec::new(), reply.clone());
    let query = it.query::<ReexecQuery>();
    let say = (
        "reexec",
        "Hand over to another control process, of the program that is installed now.",
    );
    it.add(("POST", "/v1/reexec"), say, query, reply);
    let (query, reply) = (
        it.query::<MaintenanceQuery>(),
        it.json::<api::MaintenanceReply>(),
    );
    let say = ("maintenanceOn", "Tell users that there is maintenance.");
    it.add(
        ("PUT", "/v1/maintenance"),
        say,
        query.clone(),
        reply.clone(),
    );
    let say = ("maintenanceOff", "There is none any more.");
    it.add(("DELETE", "/v1/maintenance"), say, query, reply);
    let (query, reply) = (it.query::<RotateQuery>(), it.json::<api::RotateReply>());
    let say = ("rotateLogs", "Begin new log files now.");
    it.add(("POST", "/v1/logs/rotate"), say, query, reply);
}

fn watch(it: &mut Document) {
    let text = |kind: &str| json!({ kind: { "schema": { "type": "string" } } });
    let say = ("metrics", "Everything countable, as OpenMetrics 1.0.");
    let metrics = text("application/openmetrics-text");
    it.add(("GET", "/metrics"), say, Vec::new(), metrics);
    let say = ("openapi", "This document.");
    let object = json!({ "application/json": { "schema": { "type": "object" } } });
    it.add(("GET", "/v1/openapi.json"), say, Vec::new(), object);
    let query = it.query::<HealthQuery>();
    let say = ("healthz", "200 if the control process answers.");
    it.add(("GET", "/healthz"), say, query.clone(), text("text/plain"));
    let say = ("readyz", "200 if every enabled service is ready.");
    it.add(("GET", "/readyz"), say, query, text("text/plain"));
}

fn document() -> Value {
    let mut it = Document::new();
    look(&mut it);
    act(&mut it);
    watch(&mut it);
    it.finish()
}

#[test]
fn the_file_is_what_the_types_say() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, &text).unwrap();
        return;
    }
    assert!(
        text == DOCUMENT,
        "api/openapi.json is not up to date; write it anew: {UPDATE}=1 cargo test -p supervisor openapi"
    );
}

/// `METHOD path` of every operation in the file.
fn described() -> BTreeSet<String> {
    let file: Value = serde_json::from_str(DOCUMENT).unwrap();
    let paths = file["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    each.collect()
}

#[test]
fn the_file_describes_the_routes_and_no_others() {
    let routes = ROUTES
        .iter()
        .map(|(method, path)| format!("{method} {path}"));
    assert_eq!(described(), routes.collect());
}

#[test]
fn the_router_has_the_routes_of_the_table_and_no_others() {
    let router = include_str!("../routes.rs");
    let calls = router.split(".route(\"").skip(1);
    let asked = calls.flat_map(|call| {
        let (path, handlers) = call.split_once('"').unwrap();
        let handlers = handlers.lines().next().unwrap();
        let has = move |verb: &&str| handlers.contains(&format!("{}(", verb.to_lowercase()));
        let verbs = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .filter(has);
        verbs
            .map(move |verb| format!("{verb} {path}"))
            .collect::<Vec<_>>()
    });
    let table = ROUTES
        .iter()
        .map(|(method, path)| format!("{method} {path}"));
    assert_eq!(asked.collect::<BTreeSet<_>>(), table.collect());
}

#[test]
fn every_reference_of_the_file_leads_somewhere() {
    let file: Value = serde_json::from_str(DOCUMENT).unwrap();
    let references = DOCUMENT.split("\"$ref\": \"#").skip(1);
    let mut count = 0;
    for pointer in references.map(|it| it.split('"').next().unwrap()) {
        assert!(file.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
