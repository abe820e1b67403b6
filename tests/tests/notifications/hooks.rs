//! A server that takes webhooks.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Instant,
};

use mattervisor_tests::eventually;
use serde_json::Value;

use super::PLANTED;

/// One request that has come in.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) head: String,
    pub(super) body: Value,
    pub(super) at: Instant,
}

/// A server that takes webhooks; its answers come from a list, then 200.
pub(super) struct Hooks {
    pub(super) port: u16,
    pub(super) posted: Arc<Mutex<Vec<Posted>>>,
}

impl Hooks {
    pub(super) fn new(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let kept = Arc::clone(&posted);
        let mut answers: VecDeque<_> = answers.iter().copied().collect();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answers.pop_front().unwrap_or("200 OK");
                if let Some(one) = take(stream, answer) {
                    kept.lock().unwrap().push(one);
                }
            }
        });
        Self { port, posted }
    }

    pub(super) fn site_file(&self, on: &str) -> String {
        let port = self.port;
        format!(
            r#"
                [notify.chat]
                webhook = "http://127.0.0.1:{port}/hooks/{PLANTED}"
                on = {on}
            "#
        )
    }

    pub(super) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn wait(&self, count: usize) -> Vec<Posted> {
        eventually(&format!("{count} messages"), || {
            let posted = self.posted();
            (posted.len() >= count).then_some(posted)
        })
    }
}

fn take(stream: TcpStream, answer: &str) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.into_inner().write_all(answer.as_bytes()).ok()?;
    Some(Posted {
        head,
        body: serde_json::from_slice(&body).ok()?,
        at: Instant::now(),
    })
}
