//! Prints what the process was given: environment, ids, limits, masks; one `name=value` per line.

use std::{fs, io, os::unix::ffi::OsStrExt};

use nix::{
    sys::{
        resource::{Resource, getrlimit},
        stat::{Mode, umask},
    },
    unistd::{getgid, getgroups, getpgrp, getpid, getsid, getuid},
};

/// `env`: every variable, then a line `env-end`.
pub(crate) fn environment() -> io::Result<()> {
    let mut text = String::new();
    for (name, value) in std::env::vars_os() {
        let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        text.push_str(&name);
        text.push('=');
        text.push_str(&value);
        text.push('\n');
    }
    crate::print(&(text + "env-end\n"))
}

/// `id`: everything else, then a line `id-end`.
pub(crate) fn identity() -> io::Result<()> {
    let mask = umask(Mode::empty());
    umask(mask);
    let groups: Vec<String> = getgroups()?.iter().map(ToString::to_string).collect();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold spaces; nice is the 17th field after it.
    let nice = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(16));
    let mut lines = vec![
        format!("uid={}", getuid()),
        format!("gid={}", getgid()),
        format!("groups={}", groups.join(",")),
        format!("umask={:04o}", mask.bits()),
        format!("nofile={soft},{hard}"),
        format!("nice={}", nice.unwrap_or("?")),
        format!(
            "oom_score_adj={}",
            fs::read_to_string("/proc/self/oom_score_adj")?.trim()
        ),
        format!("cwd={}", std::env::current_dir()?.display()),
        format!("sid_is_pid={}", getsid(None)? == getpid()),
        format!("pgid_is_pid={}", getpgrp() == getpid()),
        format!("stdin={}", fs::read_link("/proc/self/fd/0")?.display()),
        format!(
            "same_log={}",
            fs::read_link("/proc/self/fd/1")? == fs::read_link("/proc/self/fd/2")?
        ),
        format!("fds={}", descriptors()?),
        format!(
            "cgroup={}",
            fs::read_to_string("/proc/self/cgroup")
                .unwrap_or_default()
                .trim()
                .replace('\n', ";")
        ),
    ];
    let status = fs::read_to_string("/proc/self/status")?;
    for line in status.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let wanted = [
            "NoNewPrivs",
            "CapEff",
            "CapPrm",
            "CapBnd",
            "CapAmb",
            "CapInh",
            "SigBlk",
            "SigIgn",
            "PPid",
        ];
        if wanted.contains(&name) {
            lines.push(format!("{name}={}", value.trim()));
        }
    }
    lines.push("id-end\n".to_owned());
    crate::print(&lines.join("\n"))
}

/// Numbers of the open descriptors, without the descriptor that lists them.
fn descriptors() -> io::Result<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if !target.starts_with("/proc") {
            open.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    open.sort();
    Ok(open.join(","))
}
