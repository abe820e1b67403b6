//! A real mail server: Postfix on ports of 127.0.0.1, in a directory of its own.
//!
//! Three services: the first takes mail from this machine without a password, as on port 25; the
//! second offers STARTTLS, and the third TLS from the first byte, as on ports 587 and 465, both
//! only for clients that sign in. All mail for `example.com` arrives in one inbox, and goes nowhere
//! else.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Gid, Pid, Uid, User, chown},
};
use tempfile::TempDir;

use crate::{
    ctl::run,
    openssl,
    ports::free_port,
    processes::kill,
    programs::{Missing, program},
    wait::{eventually, within},
};

/// Name and password of the account that may sign in; its only sender is `NAME@example.com`.
pub const ACCOUNT: (&str, &str) = ("chat", "hunter2");
/// The account that owns the inbox.
const NOBODY: u32 = 65_534;
/// Time limit of an orderly stop.
const ORDERLY: Duration = Duration::from_secs(5);

/// A running mail server. Dropping this value ends the server.
pub struct Postfix {
    directory: TempDir,
    master: Child,
    /// Port that takes mail from this machine without a password, and offers no TLS.
    pub plain: u16,
    /// Port with STARTTLS, then a password, by PLAIN or LOGIN.
    pub submission: u16,
    /// Port with TLS from the first byte, then a password, by LOGIN alone.
    pub tls: u16,
}

impl Postfix {
    /// Starts a server whose certificate is for `localhost` and no other name.
    pub fn start() -> Result<Self, Missing> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Missing::new(
                "needs root: a mail server has several accounts",
            ));
        }
        let check = program("postfix", "postfix")?;
        let passwords = program("saslpasswd2", "sasl2-bin")?;
        let directory = tempfile::Builder::new()
            .prefix("mvmail")
            .tempdir_in("/tmp")
            .expect("/tmp can be written");
        let root = directory.path();
        fs::set_permissions(root, Permissions::from_mode(0o755)).expect("it is ours");
        for name in ["etc/sasl", "queue", "data", "inbox"] {
            fs::create_dir_all(root.join(name)).expect("a directory can be made");
        }
        let postfix = User::from_name("postfix").ok().flatten();
        let postfix = postfix.map(|it| it.uid);
        chown(&root.join("data"), postfix, None).expect("we are root");
        let nobody = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        chown(&root.join("inbox"), Some(nobody.0), Some(nobody.1)).expect("we are root");
        openssl::signed(root, "DNS:localhost");
        let ports = [free_port(), free_port(), free_port()];
        configure(root, ports);
        accounts(root, &passwords);
        let etc = root.join("etc");
        run(Command::new(check).arg("-c").arg(&etc).arg("check")).ok();
        let out = fs::File::create(root.join("out")).expect("the directory is ours");
        let master = master(&etc, out);
        let [plain, submission, tls] = ports;
        let server = Self {
            directory,
            master,
            plain,
            submission,
            tls,
        };
        eventually("the mail server is up", || {
            server.log().contains("daemon started").then_some(())
        });
        Ok(server)
    }

    /// The certificate of the authority that has signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// Postfix's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// All mail that has arrived, unordered.
    pub fn inbox(&self) -> Vec<String> {
        let new = self.directory.path().join("inbox/new");
        let files = fs::read_dir(new).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_to_string(file.path()).ok())
            .collect()
    }

    /// Waits for a mail that contains these words.
    #[track_caller]
    pub fn wait_mail(&self, words: &str) -> String {
        eventually(&format!("mail with {words:?}"), || {
            self.inbox().into_iter().find(|mail| mail.contains(words))
        })
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the mail server's log:\n{}", self.log());
        }
        let pid = i32::try_from(self.master.id()).unwrap_or_default();
        kill(pid, Signal::SIGTERM);
        let ended = within(ORDERLY, || self.master.try_wait().ok().flatten());
        if ended.is_none() && pid > 1 {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = self.master.wait();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own child, which it waits for"
)]
fn master(etc: &Path, out: fs::File) -> Child {
    let mut command = Command::new("/usr/lib/postfix/sbin/master");
    command.arg("-c").arg(etc).arg("-d");
    command.stdin(Stdio::null()).stderr(out);
    // Postfix ends its children by their process group.
    let started = command.process_group(0).spawn();
    started.expect("Debian has it there")
}

fn configure(root: &Path, [plain, submission, tls]: [u16; 3]) {
    let dir = root.display();
    let main = format!(
        "compatibility_level = 3.6\n\
         queue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         mail_owner = postfix\nsetgid_group = postdrop\n\
         myhostname = mail.example.com\nmydestination =\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n\
         default_transport = error\n\
         virtual_mailbox_domains = example.com\nvirtual_mailbox_base = {dir}\n\
         virtual_mailbox_maps = static:inbox/\n\
         virtual_uid_maps = static:{NOBODY}\nvirtual_gid_maps = static:{NOBODY}\n\
         maillog_file = {dir}/log\nmaillog_file_prefixes = {dir}\n\
         smtpd_tls_cert_file = {dir}/server.crt\nsmtpd_tls_key_file = {dir}/server.key\n\
         smtpd_sasl_local_domain = example.com\n\
         smtpd_sasl_authenticated_header = yes\nsmtpd_tls_received_header = yes\n\
         smtpd_sender_login_maps = inline:{{ {{ chat@example.com = chat@example.com }} }}\n"
    );
    let signed_in = "-o smtpd_sasl_auth_enable=yes \
         -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject \
         -o smtpd_sender_restrictions=reject_sender_login_mismatch";
    let login_alone = "-o { smtpd_sasl_mechanism_filter = !plain, static:rest }";
    let services = format!(
        "127.0.0.1:{plain} inet n - n - - smtpd -o smtpd_tls_security_level=none\n\
         127.0.0.1:{submission} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt {signed_in}\n\
         127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {signed_in} {login_alone}\n\
         postlog unix-dgram n - n - 1 postlogd\nqmgr unix n - n 300 1 qmgr\n\
         cleanup unix n - n - 0 cleanup\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         virtual unix - n n - - virtual\nanvil unix - - n - 1 anvil\n"
    );
    let others = [
        ("rewrite", "trivial-rewrite"),
        ("bounce", "bounce"),
        ("defer", "bounce"),
        ("trace", "bounce"),
        ("proxymap", "proxymap"),
        ("error", "error"),
        ("retry", "error"),
    ];
    let others = others.map(|(service, program)| format!("{service} unix - - n - - {program}\n"));
    let master = format!("{services}{}", others.concat());
    let sasl = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n\
         sasldb_path: {dir}/etc/sasl/sasldb2\n"
    );
    for (name, text) in [
        ("main.cf", main),
        ("master.cf", master),
        ("sasl/smtpd.conf", sasl),
    ] {
        fs::write(root.join("etc").join(name), text).expect("the directory is ours");
    }
}

/// Makes the account, in a file that the mail server may read.
fn accounts(root: &Path, saslpasswd2: &Path) {
    let file = root.join("etc/sasl/sasldb2");
    let (name, password) = ACCOUNT;
    let mut command = Command::new("sh");
    let script = r#"printf %s "$1" | "$2" -p -c -u example.com -f "$3" "$4""#;
    command
        .args(["-c", script, "sh", password])
        .arg(saslpasswd2);
    run(command.arg(&file).arg(name)).ok();
    fs::set_permissions(file, Permissions::from_mode(0o644)).expect("it is ours");
}
