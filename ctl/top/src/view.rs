//! Draws a model: header, table, last log lines, one line of keys or questions.

use std::fmt::Write as _;

use api::{LogLine, ServiceState, ServiceStatus};
use client::render::{shown, table};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    keys,
    model::{Mode, Model, SAMPLES_MAX},
};

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const BAD: Style = Style::new().fg(Color::Red);
const GOOD: Style = Style::new().fg(Color::Green);
const CARE: Style = Style::new().fg(Color::Yellow);

/// Columns beside the name: title and width.
const COLUMNS: [(&str, usize); 7] = [
    ("STATE", 9),
    ("READY", 5),
    ("PID", 7),
    ("UP", 6),
    ("RST", 4),
    ("CPU%", 6),
    ("MEM", 6),
];
/// Narrowest and widest column of names.
const NAME_WIDTH: (usize, usize) = (8, 24);
/// Bars of a sparkline, from nothing to all.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Bars for terminals without Unicode blocks.
const ASCII: [char; 9] = [' ', '.', '.', ':', ':', '-', '=', '#', '#'];
/// A sparkline's top is at least this much, so that an idle service looks idle.
const SPARK_FLOOR: f64 = 5.0;

/// Draws one frame.
pub(crate) fn draw(model: &mut Model, frame: &mut Frame<'_>) {
    model.drawn();
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(model), head);
    match model.mode.clone() {
        Mode::Log => log(model, frame, body),
        Mode::Help => frame.render_widget(help(), body),
        Mode::Why {
            service,
            lines,
            top,
        } => why(model, frame, body, &service, &lines, top),
        Mode::Table | Mode::Filter | Mode::Confirm(..) => {
            let pane = (body.height / 3).min(12);
            let [rows, rest] =
                Layout::vertical([Constraint::Min(2), Constraint::Length(pane)]).areas(body);
            services(model, frame, rows);
            log_pane(model, frame, rest);
        }
    }
    frame.render_widget(footer(model), foot);
}

fn header(model: &Model) -> Paragraph<'_> {
    let enabled = model.all().iter().filter(|service| service.enabled);
    let (mut count, mut ready, mut trouble) = (0, 0, 0);
    let (mut cpu, mut bytes) = (None, None);
    for service in enabled {
        count += 1;
        ready += u32::from(service.ready);
        let down = matches!(service.state, ServiceState::Failed | ServiceState::Backoff);
        trouble += u32::from(down || table::is_degraded(service));
        cpu = add(cpu, service.cpu_percent, |one, other| one + other);
        bytes = add(bytes, service.memory_bytes, u64::saturating_add);
    }
    let mut first = vec![Span::styled("mattervisor", BOLD)];
    if let Some(it) = &model.supervisor {
        let up = text::seconds(it.uptime_seconds);
        first.push(Span::raw(format!(" {} {}, up {up}", it.version, it.state)));
    }
    if let Some(why) = &model.lost {
        let text = format!("  reconnecting: {}", shown(why));
        first.push(Span::styled(text, BAD.add_modifier(Modifier::BOLD)));
    } else if let Some(warning) = model.supervisor.iter().flat_map(|it| &it.warnings).next() {
        first.push(Span::styled(format!("  {}", shown(warning)), CARE));
    }
    let services = text::counted(count, "service", "services");
    let mut second = vec![Span::raw(format!("{services}: {ready} ready"))];
    if trouble > 0 {
        second.push(Span::styled(format!(", {trouble} in trouble"), BAD));
    }
    second.push(Span::raw(format!(
        "   cpu {}%  mem {}   by {}",
        percent(cpu),
        memory(bytes),
        model.order.word()
    )));
    if !model.filter.is_empty() {
        second.push(Span::styled(format!("   /{}", model.filter), CARE));
    }
    Paragraph::new(vec![Line::from(first), Line::from(second)])
}

fn add<T>(sum: Option<T>, one: Option<T>, plus: impl Fn(T, T) -> T) -> Option<T> {
    match (sum, one) {
        (Some(sum), Some(one)) => Some(plus(sum, one)),
        (sum, one) => sum.or(one),
    }
}

fn services(model: &mut Model, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.height.saturating_sub(1));
    model.page = room.max(1);
    let rows = model.rows();
    let widest = rows.iter().map(|it| it.name.chars().count()).max();
    let name = widest.unwrap_or(0).clamp(NAME_WIDTH.0, NAME_WIDTH.1);
    let rest: usize = COLUMNS.iter().map(|(_, width)| width + 1).sum();
    let spark = usize::from(area.width)
        .saturating_sub(name + 1 + rest)
        .min(SAMPLES_MAX);
    let mut title = format!("{:<name$} ", "NAME");
    for (index, (text, width)) in COLUMNS.iter().enumerate() {
        if index < 2 {
            let _ = write!(title, "{text:<width$} ");
        } else {
            let _ = write!(title, "{text:>width$} ");
        }
    }
    title.push_str(if spark >= 7 { "CPU 1 m" } else { "" });
    let at = rows.iter().position(|it| it.name == model.selected);
    let at = at.unwrap_or(0);
    let most = rows.len().saturating_sub(room);
    let first = model
        .first
        .min(at)
        .max((at + 1).saturating_sub(room))
        .min(most);
    let mut lines = vec![Line::styled(title, BOLD)];
    for service in rows.iter().skip(first).take(room) {
        let line = row(model, service, name, spark);
        let selected = service.name == model.selected;
        lines.push(if selected { line.style(SELECTED) } else { line });
    }
    if rows.is_empty() {
        lines.push(Line::styled("no service has such a name", DIM));
    }
    model.first = first;
    frame.render_widget(Paragraph::new(lines), area);
}

fn row(model: &Model, service: &ServiceStatus, name_width: usize, spark: usize) -> Line<'static> {
    let name: String = shown(&service.name).chars().take(name_width).collect();
    let state = table::state(service);
    let style = match service.state {
        _ if !service.enabled => DIM,
        _ if table::is_degraded(service) => CARE,
        ServiceState::Running | ServiceState::Completed => GOOD,
        ServiceState::Failed | ServiceState::Backoff => BAD,
        ServiceState::Disabled | ServiceState::Stopped => DIM,
        _ => CARE,
    };
    let ready = match (service.enabled, service.ready, service.healthy) {
        (false, ..) => "-",
        (_, true, Some(false)) => "ill",
        (_, true, _) => "yes",
        _ => "no",
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let fields = [
        or_dash(service.pid.map(|pid| pid.to_string())),
        or_dash(service.uptime_seconds.map(text::seconds)),
        service.restarts.to_string(),
        percent(service.cpu_percent),
        memory(service.memory_bytes),
    ];
    let mut spans = vec![
        Span::raw(format!("{name:<name_width$} ")),
        Span::styled(format!("{state:<0$} ", COLUMNS[0].1), style),
        Span::raw(format!("{ready:<0$} ", COLUMNS[1].1)),
    ];
    for (field, (_, width)) in fields.iter().zip(&COLUMNS[2..]) {
        spans.push(Span::raw(format!("{field:>width$} ")));
    }
    spans.push(Span::styled(
        sparkline(model, &service.name, spark),
        Style::new().fg(Color::Cyan),
    ));
    Line::from(spans)
}

/// The last samples, the newest at the right.
fn sparkline(model: &Model, name: &str, width: usize) -> String {
    let Some(samples) = model.samples.get(name) else {
        return String::new();
    };
    let bars = if model.unicode { BLOCKS } else { ASCII };
    // If there is too little room, each column shows the busiest of several samples.
    let each = SAMPLES_MAX.div_ceil(width.max(1)).max(1);
    let newest_first: Vec<f64> = samples.iter().rev().copied().collect();
    let columns: Vec<f64> = newest_first
        .chunks(each)
        .map(|chunk| chunk.iter().copied().fold(0.0, f64::max))
        .take(width)
        .collect();
    let top = columns.iter().copied().fold(SPARK_FLOOR, f64::max);
    let bar = |value: &f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 8"
        )]
        let height = (value / top * 8.0).ceil().clamp(0.0, 8.0) as usize;
        bars[height]
    };
    let text: String = columns.iter().rev().map(bar).collect();
    format!("{text:>width$}")
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

fn memory(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), text::column_size)
}

fn log_pane(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let name = shown(&model.selected);
    let title = format!("{} log of {name} ", if model.unicode { "──" } else { "--" });
    let line = if model.unicode { "─" } else { "-" };
    let fill = usize::from(area.width).saturating_sub(title.chars().count());
    let mut lines = vec![Line::styled(title + &line.repeat(fill), DIM)];
    let reason = model
        .rows()
        .into_iter()
        .find(|it| it.name == model.selected);
    let reason = reason.and_then(|it| it.reason.clone().map(|reason| (reason, it.ready)));
    if let Some((reason, ready)) = reason.filter(|(reason, _)| !reason.is_empty()) {
        let style = if ready { CARE } else { BAD };
        lines.push(Line::styled(shown(&reason).into_owned(), style));
    }
    let room = usize::from(area.height).saturating_sub(lines.len());
    let skip = model.log.len().saturating_sub(room);
    lines.extend(model.log.iter().skip(skip).map(log_line));
    frame.render_widget(Paragraph::new(lines), area);
}

fn log(model: &mut Model, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.height);
    model.page = room.max(1);
    let end = model.log.len().saturating_sub(model.back);
    let lines: Vec<_> = model
        .log
        .iter()
        .take(end)
        .skip(end.saturating_sub(room))
        .map(log_line)
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn log_line(line: &LogLine) -> Line<'static> {
    // The time of the day is enough here; a tab would be drawn as nothing.
    let time: String = line.at.chars().skip(11).take(12).collect();
    let text = shown(&line.text).replace('\t', "    ");
    let style = if line.marker { CARE } else { Style::new() };
    Line::from(vec![
        Span::styled(format!("{time} "), DIM),
        Span::styled(text, style),
    ])
}

fn help() -> Paragraph<'static> {
    let mut lines = vec![Line::styled("Keys", BOLD), Line::raw("")];
    let key = |(keys, what): &(&'static str, &'static str)| {
        Line::from(vec![
            Span::styled(format!("  {keys:<14}"), BOLD),
            Span::raw(*what),
        ])
    };
    lines.extend(keys::HELP.iter().map(key));
    Paragraph::new(lines)
}

fn why(
    model: &mut Model,
    frame: &mut Frame<'_>,
    area: Rect,
    service: &str,
    text: &[String],
    top: usize,
) {
    model.page = usize::from(area.height).max(1);
    let mut lines: Vec<Line<'static>> = text
        .iter()
        .skip(top)
        .map(|line| Line::raw(line.replace('\t', "    ")))
        .collect();
    if text.is_empty() {
        let asking = format!("asking why {} is as it is …", shown(service));
        lines.push(Line::styled(asking, DIM));
    }
    let wrapped = Paragraph::new(lines).wrap(ratatui::widgets::Wrap { trim: false });
    frame.render_widget(wrapped, area);
}

fn footer(model: &Model) -> Line<'static> {
    match &model.mode {
        Mode::Confirm(action, service) => {
            let name = shown(service);
            let also = match action {
                api::Action::Stop => " and what requires it",
                _ => "",
            };
            let text = format!("{} {name}{also}? y/n", keys::verb(action));
            return Line::styled(text, CARE.add_modifier(Modifier::BOLD));
        }
        Mode::Filter => return Line::styled(format!("/{}_", model.filter), CARE),
        Mode::Log => {
            let name = shown(&model.selected);
            let place = match model.back {
                0 => "following".to_owned(),
                back => format!("{back} lines back; End follows"),
            };
            return Line::styled(format!("log of {name}: {place}   q back"), DIM);
        }
        Mode::Help | Mode::Why { .. } => return Line::styled("q back", DIM),
        Mode::Table => {}
    }
    if let Some((text, bad)) = &model.told {
        return Line::styled(shown(text).into_owned(), if *bad { BAD } else { GOOD });
    }
    Line::styled(
        "r restart  s stop  S start  f log  Enter why  / filter  o sort  ? help  q quit",
        DIM,
    )
}
