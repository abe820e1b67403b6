//! The verbs of a job, which asks the supervisor for services and leaves its result.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{signals::Signals, write_whole};

/// Pause between two tries while the supervisor does not answer.
const PAUSE: Duration = Duration::from_millis(20);

/// Performs `lease`, `release` or `result`.
pub(crate) fn perform(signals: &mut Signals, name: &str, argument: &str) -> io::Result<()> {
    match name {
        "lease" => {
            let services: Vec<&str> = argument.split(',').collect();
            let body = serde_json::json!({ "job": service()?, "services": services });
            ask(signals, "POST", &body.to_string())
        }
        "release" => {
            let body = serde_json::json!({ "job": service()? });
            ask(signals, "DELETE", &body.to_string())
        }
        _ => leave_result(argument),
    }
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| io::Error::other(format!("no {name}")))
}

fn directory() -> io::Result<PathBuf> {
    variable("MATTERVISOR_JOB_DIR").map(PathBuf::from)
}

/// Name of the job's service, which is the name of its directory.
fn service() -> io::Result<String> {
    let directory = directory()?;
    let name = directory.file_name().map(|it| it.display().to_string());
    name.ok_or_else(|| io::Error::other("the job has no directory"))
}

/// Asks, and asks again if the supervisor's control process dies before it has answered.
fn ask(signals: &mut Signals, method: &str, body: &str) -> io::Result<()> {
    let socket = variable("MATTERVISOR_SOCKET")?;
    loop {
        let answer = ask_once(Path::new(&socket), method, body).unwrap_or_default();
        let last = answer.lines().rev().find(|line| line.starts_with('{'));
        match last {
            Some(line) if line.contains(r#""progress":"done""#) => {
                return if line.contains(r#""verdict":"failed""#) {
                    Err(io::Error::other(line.to_owned()))
                } else {
                    Ok(())
                };
            }
            Some(line) if line.contains(r#""kind":"#) => {
                return Err(io::Error::other(line.to_owned()));
            }
            _ => signals.wait(Some(Instant::now() + PAUSE), None).map(drop)?,
        }
    }
}

fn ask_once(socket: &Path, method: &str, body: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    let length = body.len();
    write!(
        stream,
        "{method} /v1/leases HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Leaves the result `OK:MESSAGE`; its report repeats the arguments of the request.
fn leave_result(argument: &str) -> io::Result<()> {
    let (ok, message) = crate::pair(argument)?;
    let directory = directory()?;
    let request = std::fs::read(directory.join("request.json"))?;
    let request: serde_json::Value = serde_json::from_slice(&request)?;
    let result = serde_json::json!({
        "id": request["id"],
        "ok": ok == "true",
        "message": message,
        "report": request["arguments"],
    });
    let path = directory.join("result.json").display().to_string();
    write_whole(&path, &result.to_string())
}
