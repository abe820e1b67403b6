//! Containers by podman, in a storage of their own under `var/podman`: podman's own images and
//! containers are not touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    ctl::{Ctl, run_for},
    programs::{Missing, program},
};

/// Limit for one command, such as a build or an orderly stop.
const COMMAND: Duration = Duration::from_secs(180);

/// podman with runc, which works on cgroups of both versions.
#[derive(Debug)]
pub struct Podman {
    program: PathBuf,
    storage: PathBuf,
}

impl Podman {
    /// Missing: no podman, no runc, or no root.
    pub fn find() -> Result<Self, Missing> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Missing::new(
                "containers with accounts of their own need root: run the tests as root",
            ));
        }
        program("runc", "runc")?;
        let storage = Path::new(env!("CARGO_MANIFEST_DIR")).join("../var/podman");
        fs::create_dir_all(&storage)
            .map_err(|error| Missing::new(format!("cannot make {}: {error}", storage.display())))?;
        Ok(Self {
            program: program("podman", "podman")?,
            storage: storage.canonicalize().expect("it is there"),
        })
    }

    /// Runs `podman` with these words.
    pub fn run(&self, words: &[&str]) -> Ctl {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(self.storage.join("storage"))
            .arg("--runroot")
            .arg(self.storage.join("run"))
            .args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"])
            .args(words);
        run_for(&mut command, COMMAND)
    }

    /// Starts a container that has no network and the limits of an ordinary account. `options` are
    /// those of `podman run`, the image the last of them.
    pub fn start(&self, name: &str, options: &[&str]) -> Container<'_> {
        let usual = [
            "run",
            "--detach",
            "--name",
            name,
            "--network=none",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
        ];
        self.run(&[&usual, options].concat()).ok();
        Container {
            podman: self,
            name: name.to_owned(),
        }
    }
}

/// A container, running or not. Dropping the value, also by a panic, removes the container.
#[derive(Debug)]
pub struct Container<'a> {
    podman: &'a Podman,
    name: String,
}

impl Container<'_> {
    /// `podman WORD CONTAINER`, such as `stop`.
    pub fn podman(&self, words: &[&str]) -> Ctl {
        self.podman.run(&[words, &[&self.name]].concat())
    }

    /// Runs a command in the container.
    pub fn exec(&self, words: &[&str]) -> Ctl {
        self.podman.run(&[&["exec", &self.name], words].concat())
    }

    /// All that the container has written to its standard output and standard error.
    pub fn logs(&self) -> String {
        self.podman(&["logs"]).ok().both()
    }

    /// Waits for the container's end; returns its exit code.
    pub fn wait(&self) -> i32 {
        let waited = self.podman(&["wait"]).ok().stdout;
        waited.trim().parse().expect("podman prints the exit code")
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the container's log:\n{}", self.podman(&["logs"]).both());
        }
        self.podman(&["rm", "--force", "--volumes", "--time=0"]);
    }
}
