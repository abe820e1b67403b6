//! How large a plan may be. The keeper holds it as one record, which comes and goes in one frame.
//!
//! Limit: [`PLAN_BYTES_MAX`].

use crate::{
    model::Plan,
    report::problem::{Problem, Severity},
};

/// Bytes of a plan as JSON that stands in a string of JSON, as its record does.
pub const PLAN_BYTES_MAX: usize = 7 << 20;
/// Services that are named as the largest.
const NAMED_MAX: usize = 3;

/// A plan that is too large: the error that says so.
pub(crate) fn check(plan: &Plan) -> Option<Problem> {
    let bytes = encoded(plan);
    if bytes <= PLAN_BYTES_MAX {
        return None;
    }
    let mut sizes: Vec<(usize, &str)> = plan
        .services
        .values()
        .map(|service| (encoded(service), service.name.as_str()))
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.truncate(NAMED_MAX);
    let sizes: Vec<String> = sizes
        .iter()
        .map(|(bytes, name)| format!("{name} ({bytes})"))
        .collect();
    Some(Problem {
        severity: Severity::Error,
        file: plan.paths.site_file(),
        line: None,
        column: None,
        key: String::new(),
        message: format!("the plan is {bytes} bytes, over the limit of {PLAN_BYTES_MAX}"),
        hint: Some(format!(
            "have fewer services on this host, or shorter files and variables; the largest are {}",
            sizes.join(", ")
        )),
        variable: None,
        denied: false,
    })
}

fn encoded(part: &impl serde::Serialize) -> usize {
    let json = serde_json::to_string(part).expect("a plan is plain data");
    serde_json::to_string(&json).map_or(usize::MAX, |text| text.len())
}
