//! An authority of the test's own, and certificates that it signs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::run;
use tempfile::TempDir;

/// An authority that a program trusts only if the program is told of it.
pub(super) struct Authority {
    directory: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Services under other accounts read the certificate.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let authority = Self { directory };
        let mut openssl = request("/CN=An authority of the test");
        openssl.args(["-x509", "-days", "2", "-keyout"]);
        openssl.arg(authority.path("authority.key")).arg("-out");
        let _ = run(openssl.arg(authority.certificate())).ok();
        authority
    }

    /// The authority's certificate, which a program is told to trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.path("authority.crt")
    }

    /// Makes NAME.crt and NAME.key in a directory.
    pub(super) fn certify(&self, name: &str, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let asked = self.path(&format!("{name}.csr"));
        let mut openssl = request(&format!("/CN={name}"));
        openssl.arg("-addext");
        openssl.arg(format!("subjectAltName=DNS:{name}"));
        openssl.arg("-keyout");
        openssl.arg(directory.join(format!("{name}.key")));
        let _ = run(openssl.arg("-out").arg(&asked)).ok();
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-req", "-days", "2", "-copy_extensions", "copy"]);
        openssl.arg("-CAcreateserial").arg("-in").arg(&asked);
        openssl.arg("-CA").arg(self.certificate());
        openssl.arg("-CAkey").arg(self.path("authority.key"));
        openssl.arg("-out");
        openssl.arg(directory.join(format!("{name}.crt")));
        let _ = run(&mut openssl).ok();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// A command that makes a new key and a request for its certificate.
fn request(subject: &str) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-newkey", "ec", "-pkeyopt"]);
    openssl.args(["ec_paramgen_curve:P-256", "-nodes", "-subj", subject]);
    openssl
}
