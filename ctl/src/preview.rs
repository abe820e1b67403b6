//! The text of a dry run: services first, then other changes of the host, then checks of files.

use std::fmt::Write as _;

use anstyle::Style;
use api::{FileCheck, HostChange, KeptPlan, PlanImpact, Preview, ServiceChange};
use client::render::{
    BOLD, DIM, GREEN, PLAIN, RED, YELLOW, shown, styled,
    table::{Cell, columns, plain},
};

use crate::commands::check_config::write_problem;

/// The whole text of a dry run.
pub(crate) fn text(preview: &Preview) -> String {
    let mut text = String::new();
    for remark in &preview.remarks {
        write_problem(&mut text, remark);
    }
    if let Some(kept) = &preview.rollback {
        let _ = writeln!(text, "{}", back_to(kept));
    }
    let rows: Vec<Vec<Cell>> = preview.services.iter().map(row).collect();
    for line in columns(&["NAME", "ACTION", "BECAUSE"], &rows) {
        let _ = writeln!(text, "{line}");
    }
    let lines = preview
        .site
        .iter()
        .map(|what| format!("{}: {}", styled(BOLD, "supervisor"), shown(what)));
    let lines = lines
        .chain(preview.host.iter().map(host))
        .chain(preview.checks.iter().map(check));
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text.push_str("nothing has been changed: this was a dry run\n");
    text
}

fn row(service: &ServiceChange) -> Vec<Cell> {
    let mut why = service.reasons.join(", ");
    if !service.note.is_empty() {
        let sep = if why.is_empty() { "" } else { "; " };
        why = format!("{why}{sep}{}", service.note);
    }
    vec![
        plain(shown(&service.name)),
        (style(service.action), service.action.to_string()),
        plain(shown(&why)),
    ]
}

fn style(action: PlanImpact) -> Style {
    match action {
        PlanImpact::Restart | PlanImpact::Reload => YELLOW,
        PlanImpact::Start => GREEN,
        PlanImpact::Stop => RED,
        PlanImpact::Keep => DIM,
        PlanImpact::InPlace => PLAIN,
    }
}

fn host(change: &HostChange) -> String {
    let whose = change.services.join(", ");
    format!(
        "{} {} {}",
        styled(BOLD, &change.action.to_string()),
        shown(&change.what),
        styled(DIM, &format!("({})", shown(&whose)))
    )
}

fn check(check: &FileCheck) -> String {
    let path = shown(&check.path);
    if check.passed {
        return format!("{} file {path}: it is right", styled(BOLD, "check"));
    }
    let what = styled(YELLOW, "left out");
    format!(
        "{} file {path}: {what}, {}",
        styled(BOLD, "check"),
        shown(&check.detail)
    )
}

fn back_to(kept: &KeptPlan) -> String {
    let not_up = match kept.not_up.as_slice() {
        [] => String::new(),
        names => format!("; not up with it: {}", shown(&names.join(", "))),
    };
    let (at, by) = (shown(&kept.at), shown(&kept.by));
    format!("back to the configuration of {at}, asked for by {by}{not_up}")
}
