//! Certificate, key and account on disk: each written beside its place and renamed into it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::{Gid, Group, Uid, User, chown},
};
use plan::{
    Certificate, RealHost,
    certificates::{self, Grade, Life},
};

use super::{Order, issue::Issued, with_file};
use crate::error::{Error, Kind};

/// Whom a file belongs to.
pub(super) type Owner = (Option<Uid>, Option<Gid>);

/// One at a time: the authority counts what is asked.
pub(super) fn lock(account: &Path) -> Result<Flock<File>, Error> {
    let path = account.with_extension("lock");
    let open = || {
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
    };
    let file = open().map_err(|error| with_file("open", &path, &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
        Error::new(Kind::Failed, "a certificate is being got already")
            .hint("follow it: ctl logs -f letsencrypt")
    })
}

/// Puts key and certificate in place, both or none, and only if they are of use.
pub(super) fn put(order: &Order, issued: &Issued) -> Result<Life, Error> {
    let owner = owner(order)?;
    let (key, certificate) = (beside(&order.key), beside(&order.certificate));
    let key_mode = if order.group.is_some() { 0o640 } else { 0o600 };
    let placed = fill(&key, issued.key.as_bytes(), key_mode, Some(owner))
        .and_then(|()| fill(&certificate, issued.chain.as_bytes(), 0o644, Some(owner)))
        .and_then(|()| judge(order, &certificate, &key))
        .and_then(|life| {
            // Whoever watches waits for both.
            rename(&key, &order.key)?;
            rename(&certificate, &order.certificate)?;
            Ok(life)
        });
    if placed.is_err() {
        // They may be there or not.
        let _ = (fs::remove_file(&key), fs::remove_file(&certificate));
    }
    placed
}

/// What the authority gave fits together and is for the hosts.
fn judge(order: &Order, certificate: &Path, key: &Path) -> Result<Life, Error> {
    let pair = Certificate {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        host: None,
        password_file: None,
        renewed_by: None,
    };
    let found = certificates::check(&RealHost, &pair, 0);
    let bad = found.into_iter().find(|it| it.grade == Grade::Unusable);
    let bad = bad.map(|it| it.text);
    let pem = fs::read(certificate).map_err(|error| with_file("read", certificate, &error))?;
    match (bad, certificates::life(&pem, &order.hosts)) {
        (None, Some((life, true))) => Ok(life),
        (bad, _) => {
            let why =
                bad.unwrap_or_else(|| "it is not for the hosts that were asked for".to_owned());
            let message = format!("what the authority gave is of no use: {why}");
            Err(Error::new(Kind::Failed, message))
        }
    }
}

/// Writes a file whole or not at all.
pub(super) fn write(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<Owner>,
) -> Result<(), Error> {
    let candidate = beside(path);
    fill(&candidate, bytes, mode, owner)?;
    rename(&candidate, path)
}

fn fill(path: &Path, bytes: &[u8], mode: u32, owner: Option<Owner>) -> Result<(), Error> {
    let filled = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Closed to others from its birth.
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(bytes)?;
        if let Some((user, group)) = owner
            && (user.is_some() || group.is_some())
        {
            chown(path, user, group)?;
        }
        file.set_permissions(PermissionsExt::from_mode(mode))?;
        file.sync_all()
    };
    filled().map_err(|error| with_file("write", path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| with_file("put in place", to, &error))
}

/// In the same directory, hidden.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn owner(order: &Order) -> Result<Owner, Error> {
    let absent = |what: &str, name: &str| {
        Error::new(Kind::Failed, format!("there is no {what} '{name}'"))
            .hint(format!("mend letsencrypt.{what}"))
    };
    let user = order.owner.as_deref().map(|name| {
        let found = User::from_name(name).ok().flatten();
        found
            .map(|user| user.uid)
            .ok_or_else(|| absent("owner", name))
    });
    let group = order.group.as_deref().map(|name| {
        let found = Group::from_name(name).ok().flatten();
        found
            .map(|group| group.gid)
            .ok_or_else(|| absent("group", name))
    });
    Ok((user.transpose()?, group.transpose()?))
}
