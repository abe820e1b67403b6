//! The model and its pictures, on a terminal without a device.

use std::ffi::OsString;

use api::{Action, EventKind, LogLine, ServiceEvent, ServiceState, ServiceStatus, StatusReply};
use clap::CommandFactory as _;
use client::testing::{every_state, service, supervisor};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};

use super::{
    model::{Effect, Mode, Model, Msg},
    view,
};

fn reply(mut services: Vec<ServiceStatus>) -> Msg {
    for (index, service) in services.iter_mut().enumerate() {
        let index = u32::try_from(index).unwrap();
        if service.pid.is_some() {
            service.cpu_percent = Some(f64::from(index) * 12.5);
            service.memory_bytes = Some(3 << (10 + 2 * index));
        }
    }
    Msg::Status(Box::new(StatusReply {
        supervisor: supervisor(),
        services,
    }))
}

fn model() -> Model {
    let mut model = Model::new(true);
    let effects = model.update(reply(every_state()));
    assert_eq!(effects, [Effect::Follow("broken".into())]);
    model
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    model.update(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn letters(model: &mut Model, text: &str) -> Vec<Effect> {
    text.chars()
        .flat_map(|letter| press(model, KeyCode::Char(letter)))
        .collect()
}

fn line(text: &str) -> LogLine {
    LogLine {
        service: "broken".into(),
        at: "2026-11-22T12:00:01.123456Z".into(),
        text: text.into(),
        file: None,
        marker: false,
        cursor: String::new(),
    }
}

fn picture(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    let row = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    rows.map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn everything_fits_on_80_by_24() {
    let mut model = model();
    model.update(Msg::Lines(
        "broken".into(),
        vec![
            line("starting\tup"),
            line("no such file \x1b[31mor directory"),
        ],
    ));
    insta::assert_snapshot!(picture(&mut model, 80, 24), @r"
    mattervisor 0.1.0 running, up 1d1h
    11 services: 4 ready, 3 in trouble   cpu 312.5%  mem 1.0G   by name
    NAME       STATE     READY     PID     UP  RST   CPU%    MEM CPU 1 m
    broken     failed    no          -    45s    0      -      -
    degraded   degraded  ill       123    45s    0   12.5    12K                   █
    held       stopped   no          -    45s    0      -      -
    mattermost running   yes       123    45s    0    0.0   3.0K
    nginx      backoff   no          -    45s    7      -      -
    reloads    reloading yes       123    45s    0  100.0   192M                   █
    setup      completed yes         -    45s    0      -      -
    spawning   spawning  no          -    45s    0      -      -
    starts     starting  no         55    45s    0   87.5    48M                   █
    stops      stopping  no         56    45s    0  112.5   768M                   █
    waits      waiting   no          -    45s    0      -      -


    ── log of broken ───────────────────────────────────────────────────────────────
    exec: no such file or directory
    12:00:01.123 starting    up
    12:00:01.123 no such file \x1b[31mor directory



    r restart  s stop  S start  f log  Enter why  / filter  o sort  ? help  q quit
    ");
}

#[test]
fn wide_terminals_show_the_whole_minute_and_plain_ones_plain_bars() {
    let mut model = Model::new(false);
    for percent in 0..70 {
        let mut busy = service("mattermost");
        busy.cpu_percent = Some(f64::from(percent));
        busy.memory_bytes = Some(1_288_490_188);
        model.update(Msg::Status(Box::new(StatusReply {
            supervisor: supervisor(),
            services: vec![busy],
        })));
    }
    insta::assert_snapshot!(picture(&mut model, 130, 8), @"
    mattervisor 0.1.0 running, up 1d1h
    1 service: 1 ready   cpu 69.0%  mem 1.2G   by name
    NAME       STATE     READY     PID     UP  RST   CPU%    MEM CPU 1 m
    mattermost running   yes       123    45s    0   69.0   1.2G ........:::::::::::::::::---------========##################


    -- log of mattermost -------------------------------------------------------------------------------------------------------------
    r restart  s stop  S start  f log  Enter why  / filter  o sort  ? help  q quit
    ");
}

#[test]
fn a_tiny_terminal_is_no_reason_to_panic() {
    let mut model = model();
    for (width, height) in [(1, 1), (5, 2), (20, 4), (79, 6)] {
        picture(&mut model, width, height);
    }
}

#[test]
fn the_selected_row_is_always_shown_and_its_log_followed() {
    let mut model = model();
    assert_eq!(press(&mut model, KeyCode::Up), []);
    assert_eq!(
        press(&mut model, KeyCode::Down),
        [Effect::Follow("degraded".into())]
    );
    assert_eq!(
        press(&mut model, KeyCode::End),
        [Effect::Follow("waits".into())]
    );
    let shown = picture(&mut model, 80, 12);
    assert!(shown.contains("waits "), "{shown}");
    assert!(!shown.contains("broken "), "{shown}");
    press(&mut model, KeyCode::PageUp);
    press(&mut model, KeyCode::Home);
    assert_eq!(model.selected, "broken");
}

#[test]
fn what_ends_a_service_is_asked_about_first() {
    let mut model = model();
    assert_eq!(letters(&mut model, "r"), []);
    let shown = picture(&mut model, 80, 24);
    assert!(shown.ends_with("restart broken? y/n"), "{shown}");
    assert_eq!(letters(&mut model, "n"), []);
    assert_eq!(model.mode, Mode::Table);
    assert_eq!(
        letters(&mut model, "ry"),
        [Effect::Act(Action::Restart, "broken".into())]
    );
    assert_eq!(
        letters(&mut model, "sy"),
        [Effect::Act(Action::Stop, "broken".into())]
    );
    assert_eq!(
        letters(&mut model, "S"),
        [Effect::Act(Action::Start, "broken".into())]
    );
    model.update(Msg::Ended("broken: failed: exit code 1".into(), true));
    assert!(picture(&mut model, 80, 24).ends_with("broken: failed: exit code 1"));
}

/// The selected service may disappear between the question and the answer: the action still goes to
/// the service that was asked about.
#[test]
fn the_answer_is_about_what_was_asked() {
    let mut model = model();
    letters(&mut model, "s");
    model.update(reply(vec![service("other")]));
    assert_eq!(
        letters(&mut model, "y"),
        [Effect::Act(Action::Stop, "broken".into())]
    );
}

#[test]
fn a_filter_narrows_and_esc_lifts_it() {
    let mut model = model();
    assert_eq!(
        letters(&mut model, "/ma"),
        [Effect::Follow("mattermost".into())]
    );
    assert!(picture(&mut model, 80, 24).ends_with("/ma_"));
    assert_eq!(model.rows().len(), 1);
    letters(&mut model, "x");
    assert!(picture(&mut model, 80, 24).contains("no service has such a name"));
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Enter);
    assert_eq!((model.rows().len(), &model.mode), (1, &Mode::Table));
    press(&mut model, KeyCode::Esc);
    assert_eq!(
        model.rows().len(),
        every_state().len() - 1,
        "all but the disabled one"
    );
    letters(&mut model, "/redis");
    assert_eq!(model.rows().len(), 1, "which is found by its name");
}

#[test]
fn sorting_goes_round() {
    let mut model = model();
    let first = |model: &Model| model.rows()[0].name.clone();
    let mut firsts = Vec::new();
    for _ in 0..5 {
        firsts.push((model.order.word(), first(&model)));
        letters(&mut model, "o");
    }
    assert_eq!(
        firsts,
        [
            ("name", "broken".into()),
            ("state", "broken".into()),
            ("cpu", "stops".into()),
            ("memory", "stops".to_owned()),
            ("restarts", "nginx".into())
        ]
    );
    assert_eq!(model.order.word(), "name");
}

#[test]
fn an_event_shows_before_the_next_look() {
    let mut model = model();
    let event = ServiceEvent {
        seq: 1,
        at: String::new(),
        service: "broken".into(),
        kind: EventKind::State,
        state: Some(ServiceState::Running),
        ready: true,
        pid: Some(4711),
        detail: String::new(),
        by: None,
        exit: None,
    };
    model.update(Msg::Happened(Box::new(event)));
    let shown = picture(&mut model, 80, 24);
    let row = shown.lines().find(|it| it.starts_with("broken")).unwrap();
    assert!(row.contains("running   yes      4711     0s"), "{row}");
}

#[test]
fn a_lost_supervisor_is_said_and_the_last_states_stay() {
    let mut model = model();
    model.update(Msg::Lost("the connection broke".into()));
    let shown = picture(&mut model, 80, 24);
    assert!(
        shown.starts_with("mattervisor 0.1.0 running, up 1d1h  reconnecting: the connection broke"),
        "{shown}"
    );
    assert!(shown.contains("mattermost"));
    model.update(reply(every_state()));
    assert!(!picture(&mut model, 80, 24).contains("reconnecting"));
}

#[test]
fn the_log_fills_the_screen_and_stays_where_it_is_read() {
    let mut model = model();
    let lines = |from: u32, to: u32| (from..to).map(|n| line(&format!("line {n}."))).collect();
    model.update(Msg::Lines("broken".into(), lines(0, 50)));
    model.update(Msg::Lines("other".into(), vec![line("not mine")]));
    letters(&mut model, "f");
    let shown = picture(&mut model, 40, 10);
    assert!(shown.contains("12:00:01.123 line 49."), "{shown}");
    press(&mut model, KeyCode::PageUp);
    let read = picture(&mut model, 40, 10);
    assert!(
        read.contains("line 42.") && !read.contains("line 43."),
        "{read}"
    );
    assert!(read.contains("7 lines back"), "{read}");
    model.update(Msg::Lines("broken".into(), lines(50, 60)));
    let still = picture(&mut model, 40, 10);
    assert!(
        still.contains("line 42.") && !still.contains("line 43."),
        "{still}"
    );
    press(&mut model, KeyCode::End);
    assert!(picture(&mut model, 40, 10).contains("line 59."));
    // The stream broke and begins again: no line is shown twice.
    model.update(Msg::LogBegins("broken".into()));
    model.update(Msg::Lines("broken".into(), lines(55, 61)));
    assert_eq!(model.log.len(), 6);
    letters(&mut model, "q");
    assert_eq!(model.mode, Mode::Table);
}

#[test]
fn why_is_asked_and_shown() {
    let mut model = model();
    assert_eq!(
        press(&mut model, KeyCode::Enter),
        [Effect::AskWhy("broken".into())]
    );
    assert!(picture(&mut model, 80, 24).contains("asking why broken"));
    model.update(Msg::Why("other".into(), vec!["not mine".into()]));
    model.update(Msg::Why(
        "broken".into(),
        vec!["it is missing".into(), "so".into()],
    ));
    let shown = picture(&mut model, 80, 24);
    assert!(shown.contains("it is missing\nso"), "{shown}");
    press(&mut model, KeyCode::Down);
    assert!(!picture(&mut model, 80, 24).contains("it is missing"));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.mode, Mode::Table);
}

#[test]
fn keys_are_explained_and_quit_quits() {
    let mut model = model();
    letters(&mut model, "?");
    insta::assert_snapshot!(picture(&mut model, 80, 18), @"
    mattervisor 0.1.0 running, up 1d1h
    11 services: 4 ready, 3 in trouble   cpu 312.5%  mem 1.0G   by name
    Keys

      up down k j   select a service
      PgUp PgDn     a page up or down; Home, End
      r             restart it, after a question
      s             stop it, after a question
      S             start it
      f             follow its log on the whole screen
      Enter         why it is as it is
      /             show only names with these letters; Esc shows all
      o             sort by name, state, cpu, memory, restarts
      ?             this help
      q  Ctrl-C     quit


    q back
    ");
    letters(&mut model, "x");
    assert_eq!(letters(&mut model, "q"), [Effect::Quit]);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.update(Msg::Key(interrupt)), [Effect::Quit]);
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let run =
        |arguments: &[OsString], output| client::command_line::run(arguments, output, crate::run);
    let ran = client::testing::ran(run, "ctl top");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("ctl status --usage"), "{}", ran.err);
}

#[test]
fn its_examples_parse() {
    type Cli = client::command_line::Cli<crate::Command>;
    client::testing::examples_parse(&Cli::command(), Cli::command);
}

#[test]
fn the_man_page_is_that_of_the_definition() {
    type Cli = client::command_line::Cli<crate::Command>;
    client::man_page::keep_commands(&Cli::command());
}
