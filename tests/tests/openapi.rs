//! The server's answers match the schemas of the `OpenAPI` file.

use mattervisor_tests::Site;
use serde_json::Value;

/// The first place where a value does not match its schema. Knows the keywords that the file uses,
/// and fails on any other, so that none is ignored.
fn mismatch(file: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let rules = match schema {
        Value::Bool(true) => return None,
        Value::Object(rules) => rules,
        other => return Some(format!("{at}: {other} is no schema")),
    };
    rules.iter().find_map(|(word, rule)| {
        let wrong = || Some(format!("{at}: {value} is against {word} {rule}"));
        let fits = |schema: &Value| mismatch(file, schema, value, at).is_none();
        match word.as_str() {
            "minimum" if value.is_number() && value.as_f64() < rule.as_f64() => wrong(),
            "maximum" if value.as_f64() > rule.as_f64() => wrong(),
            "description" | "title" | "default" | "format" | "minimum" | "maximum" => None,
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                let schema = file.pointer(pointer).unwrap();
                mismatch(file, schema, value, at)
            }
            "type" => match rule {
                Value::Array(kinds) if kinds.iter().any(|kind| is(value, kind)) => None,
                Value::String(_) if is(value, rule) => None,
                _ => wrong(),
            },
            "const" => (value != rule).then(wrong).flatten(),
            "enum" if rule.as_array().unwrap().contains(value) => None,
            "oneOf"
                if rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|it| fits(it))
                    .count()
                    == 1 =>
            {
                None
            }
            "anyOf" if rule.as_array().unwrap().iter().any(fits) => None,
            "enum" | "oneOf" | "anyOf" => wrong(),
            "items" => {
                let mut items = value.as_array()?.iter().enumerate();
                items.find_map(|(n, item)| mismatch(file, rule, item, &format!("{at}/{n}")))
            }
            "required" => {
                let mut names = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                let missing = names.find(|name| value.get(name).is_none())?;
                Some(format!("{at}: {missing} is missing in {value}"))
            }
            "properties" => {
                let fields = value.as_object()?.iter();
                let mut known = fields.map(|(name, field)| (name, rule.get(name), field));
                known.find_map(|(name, rule, field)| match rule {
                    Some(rule) => mismatch(file, rule, field, &format!("{at}/{name}")),
                    None => Some(format!("{at}: {name} is not described")),
                })
            }
            other => Some(format!("{at}: this test does not know the word {other}")),
        }
    })
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// The content type and the schema of the answer to GET of a path.
fn reply_of<'f>(file: &'f Value, path: &str) -> (&'f String, &'f Value) {
    let content = &file["paths"][path]["get"]["responses"]["200"]["content"];
    let (kind, of) = content.as_object().unwrap().iter().next().unwrap();
    (kind, &of["schema"])
}

#[test]
fn answers_are_as_the_file_says() {
    let mut site = Site::new();
    let policy = r#"
        [restart]
        delay = "1h"
        max_delay = "1h"
    "#;
    site.child("crash", &["print=bye", "exit=3"], policy);
    site.child("held", &["sleep"], "");
    site.child("waits", &["sleep"], "requires = ['held']");
    site.child("off", &["sleep"], "enable = false");
    site.start_ready();
    site.wait_state("crash", "backoff");
    site.ctl(&["stop", "held"]).ok();
    let file: Value = serde_json::from_str(&site.get("/v1/openapi.json").body).unwrap();
    for (route, path) in [
        ("/v1/services", "/v1/services?usage=true"),
        ("/v1/services/{name}", "/v1/services/held"),
        ("/v1/why/{name}", "/v1/why/waits"),
        ("/v1/why/{name}", "/v1/why/crash"),
        ("/v1/events", "/v1/events?n=100"),
        ("/v1/logs", "/v1/logs?lines=10"),
        ("/v1/changes", "/v1/changes"),
        ("/v1/check", "/v1/check"),
        ("/v1/plan", "/v1/plan"),
        ("/v1/diff", "/v1/diff"),
        ("/v1/openapi.json", "/v1/openapi.json"),
    ] {
        let reply = site.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let (kind, schema) = reply_of(&file, route);
        assert!(
            reply.head.contains(&format!("content-type: {kind}")),
            "{path}: {}",
            reply.head
        );
        let values: Vec<&str> = match kind.as_str() {
            "application/x-ndjson" => reply.body.lines().collect(),
            _ => vec![reply.body.as_str()],
        };
        assert!(!values.is_empty(), "{path} answers nothing to look at");
        for value in values {
            let value: Value = serde_json::from_str(value).unwrap();
            assert_eq!(mismatch(&file, schema, &value, path), None);
        }
    }
    let error = site.get("/v1/why/nobody");
    let content = &file["components"]["responses"]["Error"]["content"];
    let value: Value = serde_json::from_str(&error.body).unwrap();
    let wrong = mismatch(
        &file,
        &content["application/json"]["schema"],
        &value,
        "error",
    );
    assert_eq!((error.status, wrong), (404, None));
}
