//! Programs of services: looked up on PATH, and looked at for what exec would want besides them.
//!
//! Owner: jobs on the blocking pool. `exec` says "No such file or directory" of a program that is
//! there when its interpreter or loader is not; here that is said by name. What cannot be read is
//! left to exec. Limit: [`HEAD_BYTES`].

use std::{
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Directories in which programs without a slash are looked up.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// So much of a program is looked at: its first line, or its ELF header and what follows it.
const HEAD_BYTES: u64 = 4096;
/// The kernel reads so much of a first line.
const LINE_BYTES: usize = 255;

/// Absolute path of a program, which is executable as far as can be told without executing it.
///
/// # Errors
/// The error says in words that the program, its interpreter or its loader is missing.
pub(crate) fn find(name: &str, path: &str) -> Result<String, String> {
    let found = look_up(name, path)?;
    match lacks(Path::new(&found)) {
        None => Ok(found),
        Some(lack) => Err(format!("cannot execute {found}: {lack}")),
    }
}

/// Absolute path of a program, which is executable.
pub(crate) fn look_up(name: &str, path: &str) -> Result<String, String> {
    let executable = |path: &Path| {
        path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    };
    if name.contains('/') {
        // Left to exec, which says exactly what is wrong with it.
        return Ok(name.to_owned());
    }
    let dirs = path.split(':').filter(|dir| !dir.is_empty());
    let mut candidates = dirs.map(|dir| Path::new(dir).join(name));
    match candidates.find(|candidate| executable(candidate)) {
        Some(found) => Ok(found.display().to_string()),
        None => Err(format!("there is no program '{name}' in {path}")),
    }
}

/// The file that exec would miss of a program; `None`: nothing, or it cannot be told.
fn lacks(program: &Path) -> Option<String> {
    if !program.is_absolute() {
        return None;
    }
    let head = head(program)?;
    if head.starts_with(b"#!") {
        return lacks_interpreter(&head);
    }
    let loader = loader(&head).filter(|it| it.is_absolute() && !it.exists())?;
    Some(format!(
        "its loader {} is not there: it was built for another C library",
        loader.display()
    ))
}

fn head(program: &Path) -> Option<Vec<u8>> {
    let opened = safe_path::open(program).or_else(|_| safe_path::open_guest(program));
    let mut head = Vec::new();
    opened.ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    Some(head)
}

fn lacks_interpreter(head: &[u8]) -> Option<String> {
    let line = head.get(2..head.len().min(LINE_BYTES))?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| b" \t".contains(byte));
    let word = words.find(|word| !word.is_empty())?;
    let named = Path::new(std::ffi::OsStr::from_bytes(word));
    if !named.is_absolute() || named.exists() {
        return None;
    }
    let Some(bare) = word.strip_suffix(b"\r") else {
        return Some(format!("its interpreter {} is not there", named.display()));
    };
    Some(format!(
        "its first line ends with a carriage return, so that {} with one is looked for: write the file with LF line ends",
        String::from_utf8_lossy(bare)
    ))
}

/// The loader of an ELF program of 64 bits in this machine's byte order.
fn loader(head: &[u8]) -> Option<PathBuf> {
    const INTERP: u32 = 3;
    let number = |at: usize, bytes: usize| {
        let bytes = head.get(at..at.checked_add(bytes)?)?;
        let mut number = [0; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        usize::try_from(u64::from_le_bytes(number)).ok()
    };
    let little_64 = head.starts_with(b"\x7fELF\x02\x01") && cfg!(target_endian = "little");
    if !little_64 {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for entry in 0..count {
        let at = entry.checked_mul(size)?.checked_add(table)?;
        if number(at, 4)? == INTERP as usize {
            let (from, long) = (number(at + 8, 8)?, number(at + 32, 8)?);
            let text = head.get(from..from.checked_add(long)?)?;
            let text = text.strip_suffix(b"\0")?;
            return Some(Path::new(std::ffi::OsStr::from_bytes(text)).to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn said(content: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("run");
        fs::write(&program, content).unwrap();
        let name = program.display().to_string();
        find(&name, "").map_err(|why| why.replace(&name, "RUN"))
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_named() {
        let missing = said(b"#! /no/such/python -u\nprint()\n").unwrap_err();
        let wanted = "cannot execute RUN: its interpreter /no/such/python is not there";
        assert_eq!(missing, wanted);
        let carriage = said(b"#!/bin/sh\r\nexit 0\r\n").unwrap_err();
        assert!(
            carriage.contains("carriage return") && carriage.contains("LF line ends"),
            "{carriage}"
        );
        for good in [
            &b"#!/bin/sh\n"[..],
            b"#!/bin/sh -e\r\n",
            b"#!",
            b"#!\n",
            b"text",
            b"",
            b"\x7fELF\x02\x01",
        ] {
            assert!(said(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_loader_that_is_not_there_is_named() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let path = loader(&own[..usize::try_from(HEAD_BYTES).unwrap()]);
        let Some(path) = path else {
            skip::note("the tests are linked without a loader");
            return;
        };
        assert!(path.exists(), "{}", path.display());
        let mut other = own;
        let name = path.as_os_str().as_bytes();
        let at = other.windows(name.len()).position(|it| it == name).unwrap();
        other[at + 1] = b'X';
        let why = said(&other).unwrap_err();
        assert!(why.contains("its loader /X"), "{why}");
    }

    #[test]
    fn what_cannot_be_read_is_left_to_exec() {
        assert_eq!(find("/no/such/program", "").unwrap(), "/no/such/program");
        assert!(find("no-such-program", PATH).is_err());
        assert!(find("sh", PATH).unwrap().ends_with("/sh"));
    }
}
