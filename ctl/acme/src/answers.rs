//! Answers to the authority's challenges, laid out where the web server finds them.
//!
//! Invariant: nothing that existed before is touched, and everything laid out is removed when the
//! order's `Answers` are dropped. Theory: the authority chooses the names of the answers, and we
//! are root. So a token must satisfy RFC 8555 before it becomes a file name, and the directory
//! stays open: creation, modes and removal go by its descriptor.
//!
//! Limits: [`TOKEN_MIN`] and [`TOKEN_MAX`].

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use client::{Error, Kind};
use safe_path::Dir;

use super::with_file;

/// Where the authority looks, below the web server's root.
const PLACE: [&str; 2] = [".well-known", "acme-challenge"];
/// The shortest token: 128 bits, as RFC 8555 (8.3) has it, in base64url.
const TOKEN_MIN: usize = 22;
/// Longest accepted token; real ones have 43 characters.
const TOKEN_MAX: usize = 128;
/// Modes of directories and answers: the web server runs as another account.
const DIRECTORY_MODE: u32 = 0o755;
const ANSWER_MODE: u32 = 0o644;
/// An answer is a token, a dot and a thumbprint.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Answer files that exist while the authority looks.
#[derive(Debug)]
pub(super) struct Answers {
    dir: Dir,
    /// Names that this process has created.
    made: Vec<String>,
}

impl Answers {
    /// Opens the challenge directory, and creates what is missing of it.
    pub(super) fn open(wwwroot: &Path) -> Result<Self, Error> {
        let place: PathBuf = PLACE
            .iter()
            .fold(wwwroot.to_owned(), |dir, it| dir.join(it));
        let open = || {
            let mut dir = match Dir::open(wwwroot) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let dir = Dir::make(wwwroot, DIRECTORY_MODE)?;
                    dir.set_owner_and_mode(None, DIRECTORY_MODE)?;
                    dir
                }
                other => other?,
            };
            for name in PLACE {
                let is_new = dir.stat(name)?.is_none();
                dir = dir.make_dir(name, DIRECTORY_MODE)?;
                // Set again, because the umask may have removed bits.
                if is_new {
                    dir.set_owner_and_mode(None, DIRECTORY_MODE)?;
                }
            }
            Ok(dir)
        };
        match open() {
            Ok(dir) => Ok(Self {
                dir,
                made: Vec::new(),
            }),
            Err(error) => Err(with_file("open", &place, &error)
                .hint("letsencrypt.wwwroot is a directory that root alone may change")),
        }
    }

    /// Lays out the answer to a token.
    pub(super) fn lay_out(&mut self, token: &str, text: &str) -> Result<(), Error> {
        if !is_token(token) {
            return Err(Error::new(
                Kind::Failed,
                "the authority asks for an answer with a name that RFC 8555 does not allow",
            )
            .hint("is letsencrypt.acme_directory an authority that you trust?"));
        }
        let path = self.dir.path().join(token);
        match self.write(token, text) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // An earlier attempt that was killed may have left the same answer.
                let there = self.dir.read(token, ANSWER_BYTES_MAX);
                if !there.is_ok_and(|bytes| bytes == text.as_bytes()) {
                    let message = format!("there is something else at {}", path.display());
                    return Err(Error::new(Kind::Failed, message).hint("remove it"));
                }
            }
            Err(error) => return Err(with_file("write", &path, &error)),
        }
        self.made.push(token.to_owned());
        Ok(())
    }

    fn write(&mut self, token: &str, text: &str) -> io::Result<()> {
        let mut file = self.dir.create(token, ANSWER_MODE)?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| safe_path::set_owner_and_mode(&file, None, ANSWER_MODE));
        if written.is_err() {
            // Made by us, and of no use.
            let _ = self.dir.remove(token);
        }
        written
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for name in &self.made {
            // Of no use to anybody, and of no harm.
            let _ = self.dir.remove(name);
        }
    }
}

/// Whether a text is a token: base64url without padding, and long enough that nobody guesses it.
fn is_token(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(part)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    };

    use super::*;

    const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

    #[test]
    fn a_token_is_held_to_what_rfc_8555_allows() {
        assert!(is_token(TOKEN) && is_token(&"a".repeat(TOKEN_MIN)));
        let long = "a".repeat(10 << 10);
        for bad in [
            "",
            "short",
            "../../../../../../etc/shadow",
            "/etc/shadow-and-some-more-of-it",
            "evaGxfADs6pSRb2LAv9IZf17/../shadow",
            "evaGxfADs6pSRb2LAv9IZf17Dt3jux==",
            "evaGxfADs6pSRb2LAv9IZ+17Dt3jux",
            "evaGxfADs6pSRb2LAv9IZ\n17Dt3jux",
            "évaGxfADs6pSRb2LAv9IZf17Dt3jux",
            &long,
        ] {
            assert!(!is_token(bad), "{bad}");
        }
    }

    #[test]
    fn what_was_laid_out_is_taken_back_and_nothing_else_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("www/.well-known/acme-challenge");
        let mut answers = Answers::open(&root.path().join("www")).unwrap();
        answers.lay_out(TOKEN, "text").unwrap();
        let laid = fs::metadata(place.join(TOKEN)).unwrap();
        assert_eq!(laid.mode() & 0o7777, ANSWER_MODE);
        assert_eq!(
            fs::metadata(&place).unwrap().mode() & 0o7777,
            DIRECTORY_MODE
        );
        drop(answers);
        assert!(!place.join(TOKEN).exists());

        // Somebody's file and somebody's link stay as they are.
        let secret = root.path().join("secret");
        fs::write(&secret, "hush").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let linked = "b".repeat(TOKEN_MIN);
        symlink(&secret, place.join(&linked)).unwrap();
        fs::write(place.join(TOKEN), "mine").unwrap();
        let mut answers = Answers::open(&root.path().join("www")).unwrap();
        for token in [TOKEN, &linked] {
            let error = answers.lay_out(token, "text").unwrap_err();
            assert!(error.message.contains("something else"), "{error}");
        }
        drop(answers);
        assert_eq!(fs::read(place.join(TOKEN)).unwrap(), b"mine");
        assert!(place.join(&linked).is_symlink());
        assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&secret).unwrap(), b"hush");

        // The answer that an earlier attempt has left is the same as ours.
        fs::write(place.join(TOKEN), "text").unwrap();
        let mut answers = Answers::open(&root.path().join("www")).unwrap();
        answers.lay_out(TOKEN, "text").unwrap();
        drop(answers);
        assert!(!place.join(TOKEN).exists());
    }
}
