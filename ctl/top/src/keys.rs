//! The meaning of keys in each mode.

use api::Action;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::Mode;

/// The meaning of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meant {
    /// End the program.
    Quit,
    /// So many lines down; negative: up.
    Move(isize),
    /// So many pages down.
    Page(isize),
    /// To the beginning.
    First,
    /// To the end.
    Last,
    /// Ask whether to do this.
    Ask(Action),
    /// Do this.
    Do(Action),
    /// Do what was asked.
    Yes,
    /// Show the whole log.
    Log,
    /// Show why.
    Why,
    /// Type a filter.
    Filter,
    /// Add a letter to the filter.
    Type(char),
    /// Remove the last letter of the filter.
    Erase,
    /// Keep the filter.
    Accept,
    /// Sort by something else.
    Sort,
    /// Show the keys.
    Help,
    /// Back to the table.
    Back,
}

/// All keys, for the help.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("up down k j", "select a service"),
    ("PgUp PgDn", "a page up or down; Home, End"),
    ("r", "restart it, after a question"),
    ("s", "stop it, after a question"),
    ("S", "start it"),
    ("f", "follow its log on the whole screen"),
    ("Enter", "why it is as it is"),
    ("/", "show only names with these letters; Esc shows all"),
    ("o", "sort by name, state, cpu, memory, restarts"),
    ("?", "this help"),
    ("q  Ctrl-C", "quit"),
];

/// The word for an action.
pub(crate) const fn verb(action: &Action) -> &'static str {
    match action {
        Action::Start => "start",
        Action::Once => "once",
        Action::Stop => "stop",
        Action::Restart => "restart",
        Action::Reload => "reload",
        Action::Signal(_) => "signal",
    }
}

/// The meaning of a key in a mode; `None` for no meaning.
pub(crate) fn meant(mode: &Mode, key: KeyEvent) -> Option<Meant> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c')).then_some(Meant::Quit);
    }
    match mode {
        Mode::Filter => typed(key.code),
        Mode::Confirm(..) => Some(match key.code {
            KeyCode::Char('y' | 'Y') => Meant::Yes,
            // Any other key means no.
            _ => Meant::Back,
        }),
        Mode::Help => Some(Meant::Back),
        Mode::Why { .. } => scrolled(key.code).or(match key.code {
            KeyCode::Char('q') | KeyCode::Esc | KeyCode::Enter => Some(Meant::Back),
            _ => None,
        }),
        Mode::Log => scrolled(key.code).or(match key.code {
            KeyCode::Char('q' | 'f') | KeyCode::Esc => Some(Meant::Back),
            _ => None,
        }),
        Mode::Table => scrolled(key.code).or(match key.code {
            KeyCode::Char('q') => Some(Meant::Quit),
            KeyCode::Char('r') => Some(Meant::Ask(Action::Restart)),
            KeyCode::Char('s') => Some(Meant::Ask(Action::Stop)),
            KeyCode::Char('S') => Some(Meant::Do(Action::Start)),
            KeyCode::Char('f') => Some(Meant::Log),
            KeyCode::Char('/') => Some(Meant::Filter),
            KeyCode::Char('o') => Some(Meant::Sort),
            KeyCode::Char('?' | 'h') => Some(Meant::Help),
            KeyCode::Enter => Some(Meant::Why),
            KeyCode::Esc => Some(Meant::Back),
            _ => None,
        }),
    }
}

const fn scrolled(code: KeyCode) -> Option<Meant> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => Meant::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Meant::Move(1),
        KeyCode::PageUp => Meant::Page(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => Meant::Page(1),
        KeyCode::Home | KeyCode::Char('g') => Meant::First,
        KeyCode::End | KeyCode::Char('G') => Meant::Last,
        _ => return None,
    })
}

const fn typed(code: KeyCode) -> Option<Meant> {
    Some(match code {
        KeyCode::Char(letter) => Meant::Type(letter),
        KeyCode::Backspace => Meant::Erase,
        KeyCode::Enter => Meant::Accept,
        KeyCode::Esc => Meant::Back,
        KeyCode::Up => Meant::Move(-1),
        KeyCode::Down => Meant::Move(1),
        _ => return None,
    })
}
