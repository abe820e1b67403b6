//! How fast the log thread is: `cargo run --release -p keeper --example log_speed`.
//!
//! One writer thread and 100-byte lines, as one write a line and as 64 KiB a write, through a
//! usual and a large pipe, into files of 10 MB in the directory given (or a temporary one).
//! Prints MB/s of what the service wrote, and CPU seconds per million lines: of the log thread, and
//! of the writer, whom a reader that wakes or blocks it costs time too.

use std::{
    error::Error,
    fs,
    io::{Write, pipe},
    path::PathBuf,
    time::Instant,
};

use keeper::log::{LogThread, Spec};
use nix::{
    fcntl::{FcntlArg, fcntl},
    unistd::{Pid, gettid},
};

const LINE_BYTES: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("log-speed-{}", std::process::id()));
    println!(
        "{:>10} {:>9} {:>9} {:>7} {:>12} {:>12}",
        "write", "pipe", "lines", "MB/s", "CPU s/1e6", "writer's"
    );
    for (write_lines, lines) in [(655, 1_000_000), (1, 1_000_000)] {
        for pipe_bytes in [64 << 10, 1 << 20] {
            for _ in 0..5 {
                let (seconds, cpu, writer) = measure(&dir, write_lines, lines, pipe_bytes)?;
                let mb = (f64::from(lines) * 100.0) / 1e6;
                println!(
                    "{:>10} {pipe_bytes:>9} {lines:>9} {:>7.0} {:>12.3} {:>12.3}",
                    write_lines * LINE_BYTES,
                    mb / seconds,
                    cpu / f64::from(lines) * 1e6,
                    writer / f64::from(lines) * 1e6
                );
            }
        }
    }
    Ok(())
}

/// Wall seconds until all is on its way to the disk, CPU seconds of the log thread and the writer.
fn measure(
    dir: &PathBuf,
    at_once: usize,
    lines: u32,
    pipe_bytes: i32,
) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let handle = LogThread::start()?;
    let (reader, mut writer) = pipe()?;
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(pipe_bytes))?;
    let spec = Spec {
        dir: dir.clone(),
        size_bytes: 10_000_000,
        keep: 10,
        ..Spec::default()
    };
    handle.open("speed", spec, reader.into());
    let mut line = vec![b'x'; LINE_BYTES - 1];
    line.push(b'\n');
    let piece = line.repeat(at_once);
    let mut left = usize::try_from(lines)?;
    let tid = handle.tid();
    let before = cpu_seconds(gettid())?;
    let begin = Instant::now();
    while left > 0 {
        let now = at_once.min(left);
        writer.write_all(&piece[..now * LINE_BYTES])?;
        left -= now;
    }
    let writer = cpu_seconds(gettid())? - before;
    let cpu = cpu_seconds(tid)?;
    handle.stop();
    let seconds = begin.elapsed().as_secs_f64();
    fs::remove_dir_all(dir)?;
    Ok((seconds, cpu, writer))
}

/// From the scheduler's own count, in nanoseconds.
fn cpu_seconds(tid: Pid) -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat"))?;
    let ns: f64 = text.split(' ').next().unwrap_or("0").parse()?;
    Ok(ns / 1e9)
}
