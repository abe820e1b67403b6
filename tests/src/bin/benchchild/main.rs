//! The child that the benchmark has supervised: records its start, and does one thing.
//!
//! `benchchild RECORDS ID MODE`. On start the child appends `ID PID NANOSECONDS`
//! (`CLOCK_MONOTONIC`) to the file RECORDS by one write, so that a latency ends when the child runs
//! and not when the benchmark looks. MODE is one of:
//!
//! * `sleep`: nothing, until a signal ends it;
//! * `exit`: exits 1 at once;
//! * `lines:FIFO:COUNT:LENGTH:BLOCK`: waits for somebody to open the FIFO, then writes COUNT
//!   numbered lines of LENGTH bytes, BLOCK bytes a write, and sleeps.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write},
    process::ExitCode,
};

use nix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [records, id, mode] = words.as_slice() else {
        eprintln!("usage: benchchild RECORDS ID sleep|exit|lines:FIFO:COUNT:LENGTH:BLOCK");
        return ExitCode::from(2);
    };
    match live(records, id, mode) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("benchchild: {error}");
            ExitCode::from(3)
        }
    }
}

fn live(records: &str, id: &str, mode: &str) -> io::Result<ExitCode> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let record = format!(
        "{id} {} {}{:09}\n",
        std::process::id(),
        now.tv_sec(),
        now.tv_nsec()
    );
    let mut file = OpenOptions::new().append(true).open(records)?;
    file.write_all(record.as_bytes())?;
    drop(file);
    match mode.split(':').collect::<Vec<_>>().as_slice() {
        ["exit"] => return Ok(ExitCode::FAILURE),
        ["lines", fifo, count, length, block] => {
            // Opening the FIFO waits for a writer.
            drop(OpenOptions::new().read(true).open(fifo)?);
            write_lines(number(count)?, number(length)?, number(block)?)?;
        }
        _ => {}
    }
    loop {
        nix::unistd::pause();
    }
}

fn number(text: &str) -> io::Result<usize> {
    text.parse().map_err(io::Error::other)
}

/// Writes lines `0000000007 xxxx…`, as many in each write as fit a block.
fn write_lines(count: usize, length: usize, block: usize) -> io::Result<()> {
    let per_write = (block / length).max(1);
    let filling = "x".repeat(length.saturating_sub(12));
    let mut buffer = Vec::with_capacity(per_write * length);
    let out = io::stdout();
    let mut next = 0;
    while next < count {
        buffer.clear();
        for line in next..count.min(next + per_write) {
            writeln!(buffer, "{line:010} {filling}")?;
        }
        // A plain write, as by a program that buffers itself: std's buffer would cut at its own
        // size.
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let written = nix::unistd::write(&out, rest)?;
            rest = &rest[written..];
        }
        next += per_write;
    }
    Ok(())
}
