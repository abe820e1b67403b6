//! The image of `packaging/container`, built from the package and run by podman.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mattervisor_tests::{
    Container, Podman, binary, debian_tree, eventually, need, run_for, unpack_mattermost, within,
};
use tempfile::TempDir;

/// What the tests' base image has, in place of Debian's own image and a network.
const BASE_PACKAGES: [&str; 4] = [
    "nginx-light",
    "postgresql",
    "procps",
    "systemd-standalone-sysusers",
];
/// Limit for making the package, and for the stack's start.
const LONG: Duration = Duration::from_secs(120);
/// All that docs/container.md asks for.
const CAPABILITIES: &str =
    "--cap-add=CHOWN,DAC_OVERRIDE,FOWNER,KILL,NET_BIND_SERVICE,SETGID,SETUID";

/// The image. Dropping it removes the image; the base image stays for the next run.
struct Image<'a> {
    podman: &'a Podman,
    name: String,
}

impl<'a> Image<'a> {
    fn build(podman: &'a Podman, tree: &Path) -> Self {
        let base = "localhost/mattervisor-tests-base";
        if podman.run(&["image", "exists", base]).code != 0 {
            let archive = "tar --create --one-file-system --directory \"$0\" . > \"$1\"";
            let packed = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
            let mut pack = Command::new("sh");
            pack.args(["-euc", archive]).args([tree, packed.path()]);
            run_for(&mut pack, LONG).ok();
            let packed = packed.path().display().to_string();
            podman.run(&["import", "--quiet", &packed, base]).ok();
        }
        let context = context();
        let context = context.path().display().to_string();
        let name = format!("localhost/mattervisor-tests-{}", std::process::id());
        let file = repository("packaging/container/Containerfile");
        let file = format!("--file={}", file.display());
        let base = format!("--build-arg=BASE={base}");
        let options = [
            "build",
            "--quiet",
            "--format=docker",
            "--isolation=chroot",
            "--layers=false",
        ];
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let own = [
            &base,
            "--build-arg=PACKAGES=",
            &file,
            "--tag",
            &name,
            &context,
        ];
        podman.run(&[&options[..], &limits, &own].concat()).ok();
        Self { podman, name }
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        self.podman.run(&["rmi", "--force", &self.name]);
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The build context: the package, and the stand-in as an archive of Mattermost's.
fn context() -> TempDir {
    let context = TempDir::new_in("/var/tmp").unwrap();
    let mut package = Command::new(repository("packaging/build.sh"));
    package.args(["--quick", "--deb"]);
    package
        .arg(binary("mattervisord").parent().unwrap())
        .arg(context.path());
    let made = run_for(&mut package, LONG).ok().stdout;
    fs::rename(made.trim(), context.path().join("mattervisor.deb")).unwrap();
    unpack_mattermost(&context.path().join("mattermost"));
    let mut pack = Command::new("tar");
    pack.args([
        "--create",
        "--gzip",
        "--file=mattermost.tar.gz",
        "mattermost",
    ]);
    run_for(pack.current_dir(&context), LONG).ok();
    context
}

/// Directories of the host that a container keeps its configuration, state and logs in.
struct Volumes(TempDir);

impl Volumes {
    fn new(site: &str) -> Self {
        let all = TempDir::new_in("/var/tmp").unwrap();
        fs::set_permissions(all.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["etc/services.d", "lib", "log"] {
            fs::create_dir_all(all.path().join(name)).unwrap();
        }
        let volumes = Self(all);
        volumes.configure(
            "mattervisor.toml",
            &format!("log.forward = 'stdout'\n{site}"),
        );
        volumes
    }

    fn configure(&self, file: &str, text: &str) {
        fs::write(self.0.path().join("etc").join(file), text).unwrap();
    }

    /// Runs the image with a root that cannot be written, and no more capabilities than needed.
    fn start<'a>(&self, image: &Image<'a>, name: &str) -> Container<'a> {
        let name = format!("mattervisor-{}-{name}", std::process::id());
        let mount = |from: &str, to: &str| {
            format!(
                "--volume={}:{to}/mattervisor",
                self.0.path().join(from).display()
            )
        };
        let mounts = [
            mount("etc", "/etc"),
            mount("lib", "/var/lib"),
            mount("log", "/var/log"),
        ];
        let [etc, lib, log] = mounts.each_ref().map(String::as_str);
        let root = [
            "--read-only",
            "--tmpfs=/run",
            "--tmpfs=/tmp",
            "--cap-drop=all",
            CAPABILITIES,
        ];
        let rest = [etc, lib, log, "--stop-timeout=330", &image.name];
        image.podman.start(&name, &[&root[..], &rest].concat())
    }
}

/// The whole of what docs/container.md promises. One test, since it builds an image.
#[test]
fn the_image_runs_the_stack_and_ends_in_order() {
    let podman = need!(Podman::find());
    let tree = need!(debian_tree("container", &BASE_PACKAGES, &[]));
    let image = Image::build(&podman, &tree);
    runs_the_stack(&image);
    ends_with_a_failure_of_a_vital_service(&image);
    ends_with_78_without_a_configuration(&image);
}

fn runs_the_stack(image: &Image<'_>) {
    let volumes = Volumes::new("mattermost_external_url = 'http://mattermost.example.com'\n");
    let container = volumes.start(image, "stack");
    becomes_healthy(&container);
    answers(&container);
    reaps_strangers(&container);
    container.exec(&["mattervisorctl", "backup", "create"]).ok();
    container.podman(&["stop"]).ok();
    assert_eq!(container.wait(), 0);
    let logs = container.logs();
    let ended = |service: &str| logs.find(&format!("{service} | [mattervisor] pid"));
    let order = [ended("mattermost"), ended("postgresql")];
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{logs}"
    );
    assert!(ended("nginx").is_some(), "{logs}");
    assert!(logs.contains("database system is shut down"), "{logs}");

    // The same volumes, and an end that nobody had time for.
    container.podman(&["start"]).ok();
    becomes_healthy(&container);
    container.podman(&["kill", "--signal=KILL"]).ok();
    assert_eq!(container.wait(), 137);
    container.podman(&["start"]).ok();
    becomes_healthy(&container);
    answers(&container);
    assert!(container.logs().contains("was not properly shut down"));
}

/// By the image's own health check.
fn becomes_healthy(container: &Container<'_>) {
    let healthy = within(LONG, || {
        let checked = container.podman(&["healthcheck", "run"]);
        (checked.code == 0).then_some(())
    });
    assert!(
        healthy.is_some(),
        "{}",
        container.podman(&["healthcheck", "run"]).both()
    );
}

/// Through nginx, from inside: the container has no network.
fn answers(container: &Container<'_>) {
    let ask = "exec 3<>/dev/tcp/127.0.0.1/80
        printf 'GET /api/v4/system/ping HTTP/1.0\\r\\nHost: mattermost.example.com\\r\\n\\r\\n' >&3
        cat <&3";
    let answer = container.exec(&["bash", "-c", ask]).ok().stdout;
    assert!(answer.contains(" 200 OK"), "{answer}");
}

/// Processes whose parent has ended belong to PID 1 and are gone once they have ended.
fn reaps_strangers(container: &Container<'_>) {
    let leave = "for each in 1 2 3; do (setsid sleep 0.3 &); done; ps -e -o ppid= -o comm=";
    let before = container.exec(&["sh", "-c", leave]).ok().stdout;
    let stranger = |line: &str| line.split_whitespace().eq(["1", "sleep"]);
    assert!(
        before.lines().any(stranger),
        "no process was left to PID 1: {before}"
    );
    eventually("the strangers are reaped", || {
        let now = container.exec(&["ps", "-e", "-o", "comm="]).ok().stdout;
        (!now.contains("sleep")).then_some(())
    });
}

fn ends_with_a_failure_of_a_vital_service(image: &Image<'_>) {
    let volumes = Volumes::new("");
    let file = "command = ['sh', '-c', 'echo gives up; exit 7']
        exit_when_failed = true
        [restart]
        policy = 'never'\n";
    volumes.configure("services.d/vital.toml", file);
    let other = "command = ['sh', '-c', 'trap \"echo ends; exit 0\" TERM; sleep 1000 & wait']\n";
    volumes.configure("services.d/other.toml", other);
    let container = volumes.start(image, "vital");
    assert_eq!(container.wait(), 1);
    let logs = container.logs();
    for said in [
        "vital | gives up",
        "other | ends",
        "exit_when_failed of vital",
    ] {
        assert!(logs.contains(said), "{said}: {logs}");
    }
}

fn ends_with_78_without_a_configuration(image: &Image<'_>) {
    let volumes = Volumes::new("key = 1\n");
    let container = volumes.start(image, "broken");
    assert_eq!(container.wait(), 78);
    let logs = container.logs();
    assert!(logs.contains("unknown key"), "{logs}");
}
