//! Brings the supervisor's status, events and logs to the model, by one task for each stream. Each
//! task reconnects when the control process restarts.

use std::time::Duration;

use api::{Action, ActionRequest, LogLine, Outcome, Progress, ServiceEvent, StatusReply, Why};
use client::{
    Client, Error, escaped,
    operation::new_id,
    render::{outcome, why::story},
    transport_error::TransportError,
};
use jiff::Timestamp;
use tokio::{
    sync::mpsc::Sender,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    keys::verb,
    model::{Effect, Msg},
};

/// Interval between two requests for states and usage.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for an answer; after that the supervisor counts as silent.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Pause before a broken stream is requested again.
const AGAIN: Duration = Duration::from_millis(300);
/// The selection must rest for this long before its log is requested.
const REST: Duration = Duration::from_millis(80);
/// Lines of a log to begin with.
const LOG_LINES: u32 = 200;

/// The tasks of all streams.
pub(crate) struct Sources {
    client: Client,
    to: Sender<Msg>,
    path: String,
    log: Option<JoinHandle<()>>,
}

impl Sources {
    /// Creates the sources without starting a task. `path` is the path of the status.
    pub(crate) fn new(client: Client, to: Sender<Msg>, path: String) -> Self {
        let client = Client {
            answer_max: ANSWER_MAX,
            // Do not wait for a reconnection: a silent supervisor is shown at once, and asked again
            // anyway.
            reconnect_max: Duration::ZERO,
            ..client
        };
        Self {
            client,
            to,
            path,
            log: None,
        }
    }

    /// Starts the tasks for status and events.
    pub(crate) fn begin(&self) {
        tokio::spawn(look(
            self.client.clone(),
            self.path.clone(),
            self.to.clone(),
        ));
        tokio::spawn(listen(self.client.clone(), self.to.clone()));
    }

    /// Carries out an effect of the model.
    pub(crate) fn carry_out(&mut self, effect: Effect) {
        let (client, to) = (self.client.clone(), self.to.clone());
        match effect {
            Effect::Quit => {}
            Effect::Act(action, service) => drop(tokio::spawn(act(client, action, service, to))),
            Effect::AskWhy(service) => drop(tokio::spawn(ask_why(client, service, to))),
            Effect::Follow(service) => {
                if let Some(log) = self.log.take() {
                    log.abort();
                }
                self.log = Some(tokio::spawn(follow(client, service, to)));
            }
        }
    }
}

async fn look(client: Client, path: String, to: Sender<Msg>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let message = match client.get::<StatusReply>(&path).await {
            Ok(reply) => Msg::Status(Box::new(reply)),
            Err(error) => Msg::Lost(error.message),
        };
        if to.send(message).await.is_err() {
            return;
        }
    }
}

async fn listen(client: Client, to: Sender<Msg>) {
    loop {
        if let Ok(mut events) = client
            .follow::<ServiceEvent>("/v1/events?follow=true&n=0")
            .await
        {
            while let Ok(Some(batch)) = events.next().await {
                for event in batch {
                    if to.send(Msg::Happened(Box::new(event))).await.is_err() {
                        return;
                    }
                }
            }
        }
        sleep(AGAIN).await;
    }
}

async fn follow(client: Client, service: String, to: Sender<Msg>) {
    sleep(REST).await;
    let name = escaped(&service);
    let path = format!("/v1/logs?services={name}&lines={LOG_LINES}&follow=true");
    loop {
        if let Ok(mut lines) = client.follow::<LogLine>(&path).await {
            if to.send(Msg::LogBegins(service.clone())).await.is_err() {
                return;
            }
            while let Ok(Some(batch)) = lines.next().await {
                if to.send(Msg::Lines(service.clone(), batch)).await.is_err() {
                    return;
                }
            }
        }
        sleep(AGAIN).await;
    }
}

async fn ask_why(client: Client, service: String, to: Sender<Msg>) {
    let path = format!("/v1/why/{}", escaped(&service));
    let text = match client.get::<Why>(&path).await {
        Ok(why) => story(&why, Timestamp::now()),
        Err(error) => error.message,
    };
    let text = anstream::adapter::strip_str(&text).to_string();
    let lines = text.lines().map(str::to_owned).collect();
    let _ = to.send(Msg::Why(service, lines)).await;
}

async fn act(client: Client, action: Action, service: String, to: Sender<Msg>) {
    let what = format!("{} {service}", verb(&action));
    let up = action != Action::Stop;
    let (text, bad) = match carry_out(&client, action, service).await {
        Ok(outcome) => {
            let failures = outcome::failures(&outcome.results);
            let text = if failures.is_empty() {
                outcome::done(&outcome.results, up)
            } else {
                failures.join("; ")
            };
            (text.trim_end().replace('\n', "; "), !failures.is_empty())
        }
        Err(error) => (format!("{what}: {}", error.message), true),
    };
    let text = anstream::adapter::strip_str(&text).to_string();
    let _ = to.send(Msg::Ended(text, bad)).await;
}

/// Asks once; where the connection breaks, asks how it ended and never for the change again.
async fn carry_out(client: &Client, action: Action, service: String) -> Result<Outcome, Error> {
    let request = ActionRequest {
        id: new_id(),
        action,
        services: vec![service],
        except: Vec::new(),
        wait: true,
    };
    let body = serde_json::to_vec(&request).map_err(|error| {
        Error::new(
            client::error::Kind::Failed,
            format!("cannot write the request: {error}"),
        )
    })?;
    match client.post::<Progress>("/v1/services", body).await {
        Ok(mut lines) => {
            while let Ok(Some(batch)) = lines.next().await {
                for progress in batch {
                    match progress {
                        Progress::Done(outcome) => return Ok(outcome),
                        Progress::Refused(reply) => return Err(reply.into()),
                        // Only the outcome counts; a preview cannot come without a dry run.
                        Progress::Accepted { .. }
                        | Progress::State { .. }
                        | Progress::Job { .. }
                        | Progress::Step { .. }
                        | Progress::Preview(_) => {}
                    }
                }
            }
        }
        Err(TransportError::Broken(_) | TransportError::Silent(_)) => {}
        Err(failure) => return Err(client.explain(failure)),
    }
    let path = format!("/v1/changes/{}", request.id);
    loop {
        match client.find::<Outcome>(&path).await {
            Ok(Some(outcome)) if outcome.finished => return Ok(outcome),
            Ok(None) => {
                let message = "the connection broke; what became of it is not known";
                return Err(Error::new(client::error::Kind::Failed, message));
            }
            Ok(Some(_)) | Err(_) => sleep(AGAIN).await,
        }
    }
}
