//! Resource limits of a run, from their names. What cannot be had is lowered here, before the
//! child is spawned, and said.

use nix::{
    errno::Errno,
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};

use crate::{
    message::{Spawn, SpawnStage},
    original::Original,
    sys::child::SpawnError,
};

/// The limits of a run, as `setrlimit` takes them.
pub(super) fn rlimits(
    spawn: &Spawn,
    original: &Original,
) -> Result<Vec<(u32, libc::rlimit)>, SpawnError> {
    let mut limits = Vec::new();
    for (name, resource, limit) in [
        ("nofile", libc::RLIMIT_NOFILE, original.nofile),
        ("core", libc::RLIMIT_CORE, original.core),
    ] {
        if !spawn.rlimits.contains_key(name) {
            limits.push((resource, limit));
        }
    }
    for (name, (soft, hard)) in &spawn.rlimits {
        let resource = resource(name).ok_or((SpawnStage::Rlimit, Errno::EINVAL))?;
        let limit = libc::rlimit {
            rlim_cur: soft.unwrap_or(libc::RLIM_INFINITY),
            rlim_max: hard.unwrap_or(libc::RLIM_INFINITY),
        };
        limits.push((
            resource as u32,
            within_reach(&spawn.service, name, resource, limit, original),
        ));
    }
    Ok(limits)
}

/// Without the right to raise a hard limit, what can be had is taken: a service of an ordinary
/// user, or in a container, runs better with less than not at all.
fn within_reach(
    service: &str,
    name: &str,
    resource: Resource,
    limit: libc::rlimit,
    original: &Original,
) -> libc::rlimit {
    let Ok((soft, hard)) = getrlimit(resource) else {
        return limit;
    };
    if limit.rlim_max <= hard {
        return limit;
    }
    // Trying is the only way to know: the right is to the first user namespace, and of some
    // limits there is a highest value. Lowering it again is always allowed.
    if setrlimit(resource, soft, limit.rlim_max).is_ok() {
        let _ = setrlimit(resource, soft, hard);
        return limit;
    }
    let wanted = limit.rlim_max;
    let message = format!("{service}: may not raise the limit {name} to {wanted}, so it is {hard}");
    // Said once, not at every start.
    original.say_once(message, "");
    libc::rlimit {
        rlim_cur: limit.rlim_cur.min(hard),
        rlim_max: hard,
    }
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}
