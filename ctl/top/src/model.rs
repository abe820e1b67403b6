//! State of the view, and its changes. Invariant: no clock, no terminal, no socket, so that tests
//! can drive it.

use std::collections::{BTreeMap, VecDeque};

use api::{Action, EventKind, LogLine, ServiceEvent, ServiceStatus, StatusReply, SupervisorStatus};
use crossterm::event::KeyEvent;

use super::{
    keys::{self, Meant},
    order::Order,
};

/// Samples of the processor time that are kept: a minute.
pub(crate) const SAMPLES_MAX: usize = 60;
/// Lines of one log that can be scrolled through.
const LOG_LINES_MAX: usize = 2000;
/// Characters of a filter.
const FILTER_MAX: usize = 64;

/// Input of the model.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A complete status of the supervisor.
    Status(Box<StatusReply>),
    /// An event of a service.
    Happened(Box<ServiceEvent>),
    /// The supervisor does not answer, with the reason.
    Lost(String),
    /// Lines of a service's log.
    Lines(String, Vec<LogLine>),
    /// The stream of a log begins (again): the lines shown so far are dropped.
    LogBegins(String),
    /// An action has ended: its message, and whether it failed.
    Ended(String, bool),
    /// The causes of a service's state, as lines.
    Why(String, Vec<String>),
    /// A key press.
    Key(KeyEvent),
    /// The terminal was resized.
    Resized,
    /// A signal that ends the program.
    Signal(u8),
}

/// Output of the model.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// End the program.
    Quit,
    /// Request this action for a service.
    Act(Action, String),
    /// Request the causes of a service's state.
    AskWhy(String),
    /// Follow the log of this service and no other.
    Follow(String),
}

/// The mode, which decides the meaning of keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mode {
    /// The table of services.
    Table,
    /// A filter is being typed.
    Filter,
    /// A question whether to carry out this action.
    Confirm(Action, String),
    /// The list of keys.
    Help,
    /// The causes of a service's state.
    Why {
        /// Name of the service.
        service: String,
        /// The causes in words; empty until the answer arrives.
        lines: Vec<String>,
        /// First line shown.
        top: usize,
    },
    /// The log, on the whole screen.
    Log,
}

/// Everything that the view shows.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) supervisor: Option<SupervisorStatus>,
    services: Vec<ServiceStatus>,
    /// Processor time of the last minute, by service.
    pub(crate) samples: BTreeMap<String, VecDeque<f64>>,
    /// Name of the selected service; empty while there is none.
    pub(crate) selected: String,
    pub(crate) order: Order,
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    /// Lines of the selected service.
    pub(crate) log: VecDeque<LogLine>,
    /// Lines between the end of the log and the last shown one; 0 follows the log.
    pub(crate) back: usize,
    /// Why the supervisor does not answer, while it does not.
    pub(crate) lost: Option<String>,
    /// The message of the last action, and whether it failed.
    pub(crate) told: Option<(String, bool)>,
    /// Rows of the table, or lines of the log, that the last picture had room for.
    pub(crate) page: usize,
    /// First row of the table that is shown.
    pub(crate) first: usize,
    /// The terminal can show blocks and lines.
    pub(crate) unicode: bool,
    stale: bool,
}

impl Model {
    pub(crate) fn new(unicode: bool) -> Self {
        Self {
            supervisor: None,
            services: Vec::new(),
            samples: BTreeMap::new(),
            selected: String::new(),
            order: Order::Name,
            filter: String::new(),
            mode: Mode::Table,
            log: VecDeque::new(),
            back: 0,
            lost: None,
            told: None,
            page: 1,
            first: 0,
            unicode,
            stale: true,
        }
    }

    /// Whether the model has changed since the last frame.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Notes that the current state was drawn.
    pub(crate) fn drawn(&mut self) {
        self.stale = false;
    }

    /// Takes in one input, and answers the effects.
    pub(crate) fn update(&mut self, message: Msg) -> Vec<Effect> {
        self.stale = true;
        let selected = self.selected.clone();
        let mut effects = match message {
            Msg::Status(reply) => self.status(*reply),
            Msg::Happened(event) => self.happened(&event),
            Msg::Lost(why) => {
                self.lost = Some(why);
                Vec::new()
            }
            Msg::Lines(service, lines) => self.lines(&service, lines),
            Msg::LogBegins(service) => {
                if service == self.selected {
                    self.log.clear();
                }
                Vec::new()
            }
            Msg::Ended(text, bad) => {
                self.told = Some((text, bad));
                Vec::new()
            }
            Msg::Why(of, text) => {
                if let Mode::Why { service, lines, .. } = &mut self.mode
                    && *service == of
                {
                    *lines = text;
                }
                Vec::new()
            }
            Msg::Key(key) => match keys::meant(&self.mode, key) {
                Some(meant) => {
                    // A key press confirms that the message was read.
                    self.told = None;
                    self.key(meant)
                }
                None => Vec::new(),
            },
            Msg::Resized | Msg::Signal(_) => Vec::new(),
        };
        self.keep_selection();
        if self.selected != selected {
            self.log.clear();
            self.back = 0;
            if !self.selected.is_empty() {
                effects.push(Effect::Follow(self.selected.clone()));
            }
        }
        effects
    }

    fn status(&mut self, reply: StatusReply) -> Vec<Effect> {
        self.lost = None;
        self.supervisor = Some(reply.supervisor);
        let known = &reply.services;
        self.samples
            .retain(|name, _| known.iter().any(|service| service.name == *name));
        for service in known {
            let samples = self.samples.entry(service.name.clone()).or_default();
            if samples.len() == SAMPLES_MAX {
                samples.pop_front();
            }
            samples.push_back(service.cpu_percent.unwrap_or(0.0));
        }
        self.services = reply.services;
        Vec::new()
    }

    /// Applies an event between two status requests: a state is shown as soon as it changes.
    fn happened(&mut self, event: &ServiceEvent) -> Vec<Effect> {
        let mut services = self.services.iter_mut();
        if event.kind == EventKind::State
            && let Some(state) = event.state
            && let Some(service) = services.find(|service| service.name == event.service)
        {
            service.state = state;
            service.ready = event.ready;
            service.pid = event.pid;
            service.reason = Some(event.detail.clone()).filter(|detail| !detail.is_empty());
            service.uptime_seconds = Some(0);
        }
        Vec::new()
    }

    fn lines(&mut self, service: &str, lines: Vec<LogLine>) -> Vec<Effect> {
        if service == self.selected {
            if self.back > 0 {
                // A log that is scrolled back stays where it is.
                self.back += lines.len();
            }
            self.log.extend(lines);
            let surplus = self.log.len().saturating_sub(LOG_LINES_MAX);
            self.log.drain(..surplus);
            self.back = self.back.min(self.log.len().saturating_sub(1));
        }
        Vec::new()
    }

    fn key(&mut self, meant: Meant) -> Vec<Effect> {
        let nothing = self.selected.is_empty();
        match meant {
            Meant::Log | Meant::Why | Meant::Ask(_) | Meant::Do(_) if nothing => {}
            Meant::Quit => return vec![Effect::Quit],
            Meant::Move(by) => self.move_by(by),
            Meant::Page(by) => {
                let page = isize::try_from(self.page.max(1)).unwrap_or(isize::MAX);
                self.move_by(by.saturating_mul(page));
            }
            Meant::First => self.move_by(isize::MIN / 2),
            Meant::Last => self.move_by(isize::MAX / 2),
            Meant::Sort => self.order = self.order.next(),
            Meant::Help => self.mode = Mode::Help,
            Meant::Back => self.go_back(),
            Meant::Log => {
                self.back = 0;
                self.mode = Mode::Log;
            }
            Meant::Filter => self.mode = Mode::Filter,
            Meant::Type(letter) => {
                if self.filter.len() < FILTER_MAX {
                    self.filter.push(letter);
                }
            }
            Meant::Erase => drop(self.filter.pop()),
            Meant::Accept => self.mode = Mode::Table,
            Meant::Ask(action) => {
                self.told = None;
                self.mode = Mode::Confirm(action, self.selected.clone());
            }
            Meant::Do(action) => return self.act(action, self.selected.clone()),
            Meant::Yes => {
                if let Mode::Confirm(action, service) =
                    std::mem::replace(&mut self.mode, Mode::Table)
                {
                    return self.act(action, service);
                }
            }
            Meant::Why => {
                self.mode = Mode::Why {
                    service: self.selected.clone(),
                    lines: Vec::new(),
                    top: 0,
                };
                return vec![Effect::AskWhy(self.selected.clone())];
            }
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, service: String) -> Vec<Effect> {
        self.told = Some((format!("{} {service} …", keys::verb(&action)), false));
        vec![Effect::Act(action, service)]
    }

    fn go_back(&mut self) {
        match &self.mode {
            // Nothing to go back from but the filter.
            Mode::Table | Mode::Filter => self.filter.clear(),
            _ => {}
        }
        self.back = 0;
        self.mode = Mode::Table;
    }

    fn move_by(&mut self, by: isize) {
        match &mut self.mode {
            Mode::Table | Mode::Filter | Mode::Confirm(..) | Mode::Help => {
                let names: Vec<&str> = self.rows().iter().map(|it| it.name.as_str()).collect();
                let at = names.iter().position(|name| *name == self.selected);
                let last = names.len().saturating_sub(1);
                let to = at.unwrap_or(0).saturating_add_signed(by).min(last);
                if let Some(name) = names.get(to) {
                    self.selected = (*name).to_owned();
                }
            }
            Mode::Why { lines, top, .. } => {
                *top = top
                    .saturating_add_signed(by)
                    .min(lines.len().saturating_sub(1));
            }
            Mode::Log => {
                let most = self.log.len().saturating_sub(self.page.max(1));
                self.back = self
                    .back
                    .saturating_add_signed(by.saturating_neg())
                    .min(most);
            }
        }
    }

    /// The services that are shown, in order.
    pub(crate) fn rows(&self) -> Vec<&ServiceStatus> {
        // Disabled services are shown only if the filter names them, or if no service is enabled.
        let nothing = !self.services.iter().any(|service| service.enabled);
        let wanted = |service: &&ServiceStatus| {
            service.name.contains(&self.filter)
                && (service.enabled || nothing || !self.filter.is_empty())
        };
        let mut rows: Vec<_> = self.services.iter().filter(wanted).collect();
        rows.sort_by(|one, other| self.order.compare(one, other));
        rows
    }

    /// All services, whatever the filter.
    pub(crate) fn all(&self) -> &[ServiceStatus] {
        &self.services
    }

    /// Keeps the selection on a service that is shown.
    fn keep_selection(&mut self) {
        let rows = self.rows();
        if rows.iter().any(|service| service.name == self.selected) {
            return;
        }
        self.selected = rows.first().map(|it| it.name.clone()).unwrap_or_default();
    }
}
