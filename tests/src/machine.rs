//! A machine with an init of its own: a Debian tree that `systemd-nspawn` boots, whatever its init
//! is. The machine has no network and changes nothing of its tree: what it writes goes into an
//! overlay. Dropping the [`Machine`], also by a panic, ends it and removes what it has written.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    binaries::binary,
    control_groups::remove_groups,
    ctl::{Ctl, run_for},
    processes::{children, kill, spawn},
    programs::{Missing, program},
    wait::{eventually, within},
};

/// Limit for one command on the machine, such as an orderly stop.
const COMMAND: Duration = Duration::from_secs(60);
/// Limit for the machine's way down.
const DOWN: Duration = Duration::from_secs(60);

/// Mounts the overlay and boots it, in a mount namespace that ends with the machine.
/// `systemd-nspawn` needs a /run in memory, which not every machine has, and neither `machined` nor
/// a scope. `$0` is the tree, `$1` the machine's directory, `$2` what is to be done in it before; the
/// other arguments are the machine's control groups.
const BOOT: &str = r#"
    tree=$0 machine=$1 before=$2
    shift 2
    for group; do
        mkdir -p "$group"
        echo $$ >"$group/cgroup.procs"
    done
    mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir /run/systemd
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$machine/written,workdir=$machine/work" \
        "$machine/root"
    chroot "$machine/root" /bin/sh -euc "$before"
    exec systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe \
        --boot --directory="$machine/root" --machine="mattervisor-init-$$"
"#;

/// A machine, down at first.
pub struct Machine {
    tree: PathBuf,
    directory: TempDir,
    nspawn: Option<Child>,
}

impl Machine {
    /// A machine of this tree. Missing: this machine has no `systemd-nspawn`.
    pub fn of(tree: PathBuf) -> Result<Self, Missing> {
        for (name, package) in [
            ("systemd-nspawn", "systemd-container"),
            ("nsenter", "util-linux"),
            ("unshare", "util-linux"),
        ] {
            program(name, package)?;
        }
        let directory = tempfile::Builder::new().prefix("mv").tempdir_in("/var/tmp");
        let directory = directory.expect("/var/tmp can be written");
        let enter = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), enter).expect("it is ours");
        for name in ["written", "work", "root"] {
            fs::create_dir(directory.path().join(name)).expect("it is ours");
        }
        let nspawn = None;
        Ok(Self {
            tree,
            directory,
            nspawn,
        })
    }

    /// Where the host sees a file that was put onto the machine, or written by it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory
            .path()
            .join("written")
            .join(path.trim_start_matches('/'))
    }

    /// Puts a file onto the machine.
    pub fn file(&self, path: &str, mode: u32, content: &[u8]) {
        let path = self.path(path);
        let above = path.parent().expect("a file lies in a directory");
        fs::create_dir_all(above).expect("it is ours");
        fs::write(&path, content).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    /// Puts a copy of a file of the host's onto the machine.
    pub fn copy(&self, from: &Path, path: &str, mode: u32) {
        let content = fs::read(from);
        let content = content.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.file(path, mode, &content);
    }

    /// Puts the daemon, its client and an empty configuration where the package has them.
    pub fn install(&self) {
        let library = Path::new("/usr/lib/mattervisor");
        for name in ["mattervisord", "mattervisor-backup"] {
            let place = library.join(name);
            self.copy(&binary(name), &place.display().to_string(), 0o755);
        }
        self.copy(&binary("ctl"), "/usr/bin/mattervisorctl", 0o755);
        self.copy(&binary("testchild"), "/usr/local/bin/testchild", 0o755);
        self.file("/etc/mattervisor/mattervisor.toml", 0o640, b"");
        let catalog = self.path("/usr/share/mattervisor/services.d");
        fs::create_dir_all(catalog).expect("it is ours");
    }

    /// Boots the machine, once these shell commands have run in it.
    pub fn boot(&mut self, before: &str) {
        assert!(self.nspawn.is_none(), "it is up");
        let console = File::create(self.console()).expect("it is ours");
        let errors = console.try_clone().expect("a descriptor is left");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-euc", BOOT])
            .args([&self.tree, self.directory.path()])
            .arg(before)
            .args(self.control_groups())
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors);
        self.nspawn = Some(spawn(&mut command));
        eventually("the machine has an init", || {
            let ended = self.nspawn.as_mut().expect("it is up").try_wait().ok()?;
            assert!(ended.is_none(), "it has not booted: {}", self.log());
            self.init()
        });
    }

    /// Runs a command on the machine, as root, with the environment of an init.
    pub fn run(&self, words: &[&str]) -> Ctl {
        self.run_within(COMMAND, words)
    }

    /// The same, with another limit.
    pub fn run_within(&self, limit: Duration, words: &[&str]) -> Ctl {
        let init = self.init().expect("the machine is up");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={init}"))
            .args([
                "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
            ])
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(words);
        run_for(&mut command, limit)
    }

    /// Waits until the machine is down.
    pub fn wait_down(&mut self) {
        let nspawn = self.nspawn.as_mut().expect("it is up");
        let down = within(DOWN, || nspawn.try_wait().ok().flatten());
        assert!(down.is_some(), "it does not go down: {}", self.log());
        self.nspawn = None;
    }

    /// What the machine has printed since its boot.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.console()).unwrap_or_default()).into_owned()
    }

    /// Groups of the machine's own, in the hierarchies that `systemd-nspawn` groups by: the daemons
    /// of two machines in one group would take the same names below it.
    fn control_groups(&self) -> Vec<PathBuf> {
        let name = self.directory.path().file_name().expect("it has a name");
        let name = format!("mattervisor-init-{}", name.to_string_lossy());
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = [
            ("0::", "/sys/fs/cgroup/unified"),
            ("0::", "/sys/fs/cgroup"),
            ("name=systemd:", "/sys/fs/cgroup/systemd"),
        ];
        let groups = mounts.iter().filter_map(|(kind, mount)| {
            let (_, path) = own.lines().find_map(|line| line.split_once(kind))?;
            let group = Path::new(mount).join(path.trim_start_matches('/'));
            let exists = group.join("cgroup.procs").is_file();
            exists.then(|| group.join(&name))
        });
        groups.collect()
    }

    fn console(&self) -> PathBuf {
        self.directory.path().join("console")
    }

    /// The pid of the machine's init, on the host: the child of `systemd-nspawn` that is the first
    /// process of a namespace.
    fn init(&self) -> Option<i32> {
        let nspawn = i32::try_from(self.nspawn.as_ref()?.id()).ok()?;
        children(nspawn).into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            pids.is_some_and(|pids| pids.split_whitespace().nth(1) == Some("1"))
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the machine's console:\n{}", self.log());
        }
        // The namespace, and so every process in it, ends with its init.
        if let Some(init) = self.init() {
            kill(init, Signal::SIGKILL);
        }
        if let Some(mut nspawn) = self.nspawn.take() {
            let _ = nspawn.kill();
            let _ = nspawn.wait();
        }
        for group in self.control_groups() {
            // Its processes are gone, which the kernel may note a moment later.
            within(DOWN, || {
                remove_groups(&group);
                (!group.exists()).then_some(())
            });
        }
    }
}
