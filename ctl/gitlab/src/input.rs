//! Input of `ctl gitlab`: the arguments, and the token file that they name.

use std::{
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use clap::Args;
use client::{Error, Kind};

use super::Secret;

/// Longest token; GitLab's have about 26 characters, routable tokens about a hundred.
const TOKEN_BYTES_MAX: usize = 4096;

// How to reach GitLab and who asks.
#[derive(Debug, Args)]
pub(crate) struct AuthorizeWith {
    /// Where GitLab is, as users reach it [default: `mattermost.gitlab_url`]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File with a token of an administrator of GitLab, scope api; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Ask GitLab and say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

// The file of the virtual host, and the nginx that reads the file.
#[derive(Debug, Args)]
pub(crate) struct VhostTo {
    /// Write it to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The nginx that will read it; its version decides how some lines are written
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "/opt/gitlab/embedded/sbin/nginx"
    )]
    pub(crate) nginx: PathBuf,
    /// Where that nginx logs the requests for Mattermost
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/log/gitlab/nginx/mattermost_access.log"
    )]
    pub(crate) access_log: PathBuf,
}

/// Reads the token; the second value is a remark if others may read the file.
pub(super) fn token(path: &Path) -> Result<(Secret, Option<String>), Error> {
    let failed = |why: String| {
        Error::new(
            Kind::Failed,
            format!("cannot read a token from {}: {why}", path.display()),
        )
        .hint("it holds the token and nothing else, on one line: install -m 600 /dev/null FILE, then paste it")
    };
    let mut text = String::new();
    let limit = TOKEN_BYTES_MAX as u64 + 1;
    let mut remark = None;
    if path == Path::new("-") {
        let read = std::io::stdin()
            .lock()
            .take(limit)
            .read_to_string(&mut text);
        read.map_err(|error| failed(error.to_string()))?;
    } else {
        let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        if let Ok(found) = file.metadata()
            && found.is_file()
            && found.mode() & 0o077 != 0
        {
            let path = path.display();
            remark = Some(format!(
                "others may read {path}, which holds a token: chmod 600 {path}"
            ));
        }
        let read = file.take(limit).read_to_string(&mut text);
        read.map_err(|error| failed(error.to_string()))?;
    }
    let token = text.trim();
    if token.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    // The HTTP library would refuse a token of several words with an obscure message.
    if token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(failed("what is in it is no token".to_owned()));
    }
    Ok((Secret::new(token), remark))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_one_word_and_its_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "glpat-1\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let (read, remark) = token(&path).unwrap();
        assert_eq!((read.reveal(), remark), ("glpat-1", None));
        assert_eq!(format!("{read:?}"), "(secret)");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(token(&path).unwrap().1.unwrap().contains("chmod 600"));
        for bad in ["", " \n", "two words", "two\nlines", &"x".repeat(5000)] {
            std::fs::write(&path, bad).unwrap();
            let error = token(&path).unwrap_err();
            assert!(error.message.contains("cannot read a token"), "{error}");
            assert!(bad.is_empty() || !error.message.contains(bad.trim()) || bad.trim().is_empty());
        }
        let error = token(&dir.path().join("none")).unwrap_err();
        assert!(error.message.contains("No such file"), "{error}");
    }
}
