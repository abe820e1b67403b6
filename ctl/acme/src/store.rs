//! Certificate, key and account on disk: each written beside its place and renamed into it, in a
//! directory that nobody but root and our own user can change.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::{Gid, Group, Uid, User, fchown},
};
use plan::{
    Certificate, RealHost,
    certificates::{self, Grade, Life},
};

use client::{Error, Kind};
use safe_path::Dir;

use super::{Order, issue::Issued, with_file};

/// Longest chain of certificates.
pub(super) const CHAIN_BYTES_MAX: u64 = 1 << 20;

/// Whom a file belongs to.
pub(super) type Owner = (Option<Uid>, Option<Gid>);

/// Excludes a second order at the same time: the authority limits the number of requests.
pub(super) fn lock(account: &Path) -> Result<Flock<File>, Error> {
    let path = account.with_extension("lock");
    let dir = account.parent().unwrap_or(Path::new("/"));
    let open = || Dir::open(dir)?.append(path.file_name().unwrap_or_default(), 0o600);
    let file = open().map_err(|error| with_file("open", &path, &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
        Error::new(Kind::Failed, "a certificate is being got already")
            .hint("follow it: ctl logs -f letsencrypt")
    })
}

/// Puts key and certificate in place, both or none, and only if they are usable.
pub(super) fn put(order: &Order, issued: &Issued) -> Result<Life, Error> {
    let owner = owner(order)?;
    let key_mode = if order.group.is_some() { 0o640 } else { 0o600 };
    let key = Candidate::fill(&order.key, issued.key.as_bytes(), key_mode, Some(owner))?;
    let chain = issued.chain.as_bytes();
    let certificate = Candidate::fill(&order.certificate, chain, 0o644, Some(owner))?;
    let life = judge(order, &certificate.path(), &key.path())?;
    // A program that watches these files waits for both.
    key.put_in_place()?;
    certificate.put_in_place()?;
    Ok(life)
}

/// Checks that certificate and key match and are for the hosts.
fn judge(order: &Order, certificate: &Path, key: &Path) -> Result<Life, Error> {
    let pair = Certificate {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        host: None,
        password_file: None,
        renewed_by: None,
        hint: None,
    };
    let found = certificates::check(&RealHost, &pair, 0);
    let bad = found.into_iter().find(|it| it.grade == Grade::Unusable);
    let bad = bad.map(|it| it.text);
    let pem = safe_path::read(certificate, CHAIN_BYTES_MAX)
        .map_err(|error| with_file("read", certificate, &error))?;
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

/// Writes a file atomically.
pub(super) fn write(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<Owner>,
) -> Result<(), Error> {
    let candidate = Candidate::fill(path, bytes, mode, owner)?;
    candidate.put_in_place()
}

/// A file beside the final one, in a directory that is held open. It is removed if it is dropped
/// before the rename.
struct Candidate<'p> {
    dir: Dir,
    path: &'p Path,
    placed: bool,
}

impl<'p> Candidate<'p> {
    fn fill(path: &'p Path, bytes: &[u8], mode: u32, owner: Option<Owner>) -> Result<Self, Error> {
        let failed = |error: io::Error| with_file("write", path, &error);
        let dir = path.parent().unwrap_or(Path::new("/"));
        let candidate = Self {
            dir: Dir::open(dir).map_err(failed)?,
            path,
            placed: false,
        };
        let filled = || -> io::Result<()> {
            candidate.dir.remove(beside(path))?;
            // Readable only by us from its creation.
            let mut file = candidate.dir.create(beside(path), 0o600)?;
            file.write_all(bytes)?;
            if let Some((user, group)) = owner
                && (user.is_some() || group.is_some())
            {
                fchown(&file, user, group)?;
            }
            safe_path::set_owner_and_mode(&file, None, mode)?;
            file.sync_all()
        };
        filled().map_err(failed)?;
        Ok(candidate)
    }

    fn path(&self) -> PathBuf {
        self.path.with_file_name(beside(self.path))
    }

    fn put_in_place(mut self) -> Result<(), Error> {
        let name = self.path.file_name().unwrap_or_default();
        self.dir
            .rename(beside(self.path), name)
            .map_err(|error| with_file("put in place", self.path, &error))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Candidate<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // A half-written candidate is of no use, and may not be there.
            let _ = self.dir.remove(beside(self.path));
        }
    }
}

/// The name of a candidate: hidden, in the same directory.
fn beside(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.new")
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
