//! The packages: what they hold, and what an administrator does with the .deb, from its installation to
//! its purge, on Debian 12 and 13.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Duration,
};

use mattervisor_tests::{
    Ctl, Machine, Missing, Packages, binary, debian_tree_of, need, packages, program, run, run_for,
};

/// Limit for apt, on a loaded machine.
const APT: Duration = Duration::from_secs(400);
/// The site file, as it is shipped.
const SHIPPED: &str = include_str!("../../packaging/mattervisor.toml");
/// What the line of the host name looks like, once it is set.
const HOST: &str = "mattermost_external_url = \"http://mattermost.example.com\"";

/// Settings of the shipped site file that are commented out.
fn commented() -> Vec<&'static str> {
    let lines = SHIPPED.lines().filter_map(|line| line.strip_prefix('#'));
    lines
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .collect()
}

/// What `ctl check-config` says of this site file and the shipped catalogue.
fn checked(text: &str) -> Ctl {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc/mattervisor");
    fs::create_dir_all(&etc).unwrap();
    let site = etc.join("mattervisor.toml");
    fs::write(&site, text).unwrap();
    // As the package has it, root's own group may read it.
    let is_root = fs::metadata(&site).unwrap().gid() == 0;
    let mode = if is_root { 0o640 } else { 0o600 };
    fs::set_permissions(&site, fs::Permissions::from_mode(mode)).unwrap();
    // A Mattermost to be found.
    let mattermost = root.path().join("opt/mattermost/bin");
    fs::create_dir_all(&mattermost).unwrap();
    let mut ctl = Command::new(binary("ctl"));
    ctl.arg("--root").arg(root.path()).arg("--catalog");
    ctl.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../services.d"));
    run(ctl.arg("check-config"))
}

/// The shipped site file is good, enables nothing, and only needs a host name. Each line that is commented
/// out works when it is not, alone and with all others.
#[test]
fn every_line_of_the_shipped_site_file_works() {
    let shipped = checked(SHIPPED).ok();
    assert!(
        shipped.stdout.contains("0 services enabled"),
        "{}",
        shipped.stdout
    );
    assert!(
        shipped.stdout.contains("set mattermost_external_url"),
        "{}",
        shipped.stdout
    );
    let lines = commented();
    assert_eq!(lines.first(), Some(&HOST));
    assert!(lines.len() > 15, "{lines:?}");
    for line in &lines[1..] {
        let told = checked(&format!("{HOST}\n{line}\n")).ok();
        assert_eq!(objections(&told), [""; 0], "{line}");
    }
    let told = checked(&lines.join("\n")).ok();
    assert_eq!(objections(&told), [""; 0]);
}

/// Warnings, but for the one that no Mattermost is unpacked.
fn objections(told: &Ctl) -> Vec<&str> {
    let lines = told.stdout.lines().chain(told.stderr.lines());
    lines
        .filter(|line| line.contains("warning:") && !line.contains("there is no program"))
        .collect()
}

/// Paths in a package, without documents, service files and man pages, which are many.
fn paths(listed: &str) -> Vec<&str> {
    let many = [
        "/usr/share/doc/",
        "/services.d/",
        "/usr/share/man/",
        "/usr/share/licenses/",
    ];
    let paths = listed
        .lines()
        .map(|path| path.strip_prefix('.').unwrap_or(path));
    let mut paths: Vec<&str> = paths
        .filter(|path| !path.ends_with('/') && !many.iter().any(|it| path.contains(it)))
        .collect();
    paths.sort_unstable();
    paths
}

/// Paths that the .deb and the .rpm have in common.
const COMMON: &[&str] = &[
    "/etc/mattervisor/mattervisor.toml",
    "/usr/bin/mattervisorctl",
    "/usr/lib/mattervisor/mattervisor-acme",
    "/usr/lib/mattervisor/mattervisor-backup",
    "/usr/lib/mattervisor/mattervisor-gitlab",
    "/usr/lib/mattervisor/mattervisor-import",
    "/usr/lib/mattervisor/mattervisor-top",
    "/usr/lib/mattervisor/mattervisord",
    "/usr/lib/sysusers.d/mattervisor.conf",
    "/usr/lib/tmpfiles.d/mattervisor.conf",
    "/usr/sbin/mattervisord",
    "/usr/share/bash-completion/completions/mattervisorctl",
    "/usr/share/fish/vendor_completions.d/mattervisorctl.fish",
    "/usr/share/mattervisor/completions/_ctl",
    "/usr/share/mattervisor/completions/ctl.bash",
    "/usr/share/mattervisor/completions/ctl.fish",
    "/usr/share/mattervisor/container/Containerfile",
];

/// Files of the sources that each package has, as the package names them.
fn every_document_and_service_file() -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = Vec::new();
    for (from, to) in [
        ("services.d", "/usr/share/mattervisor/services.d"),
        ("docs", "/usr/share/doc/mattervisor/docs"),
        ("packaging/man", "/usr/share/man"),
    ] {
        for entry in fs::read_dir(top.join(from)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            match name.rsplit_once('.') {
                Some((_, section @ ("1" | "5" | "8"))) => {
                    all.push(format!("{to}/man{section}/{name}.gz"));
                }
                // The settings of the site that is made of them are for those who make it.
                Some((_, "toml")) if from == "docs" => {}
                _ if entry.path().is_file() => all.push(format!("{to}/{name}")),
                _ => {}
            }
        }
    }
    all
}

/// The .deb holds what it should, says what it needs, and lintian finds nothing wrong with it.
#[test]
fn the_deb_holds_what_it_should() {
    let packages = need!(packages());
    let lintian = need!(program("lintian", "lintian"));
    let listed = run(Command::new("sh").args([
        "-c",
        "dpkg-deb --fsys-tarfile \"$0\" | tar -t",
        packages.deb.to_str().unwrap(),
    ]))
    .ok();
    let mut wanted = COMMON.to_vec();
    let unit = |path: &&str| path.ends_with("systemd/system/mattervisor.service");
    let mut found = paths(&listed.stdout);
    assert_eq!(
        found.iter().filter(|path| unit(path)).count(),
        1,
        "{found:?}"
    );
    found.retain(|path| !unit(path));
    wanted.extend([
        "/usr/share/lintian/overrides/mattervisor",
        "/usr/share/zsh/vendor-completions/_mattervisorctl",
    ]);
    wanted.push("/etc/init.d/mattervisor");
    wanted.push("/etc/logrotate.d/mattervisor");
    let other_inits = [
        "openrc/mattervisor",
        "runit/check",
        "runit/finish",
        "runit/log/run",
        "runit/run",
    ];
    let other_inits = other_inits.map(|it| format!("/usr/share/mattervisor/{it}"));
    wanted.extend(other_inits.iter().map(String::as_str));
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    for path in every_document_and_service_file() {
        assert!(
            listed
                .stdout
                .lines()
                .any(|it| it.trim_start_matches('.') == path),
            "no {path}"
        );
    }
    let said = run(Command::new("dpkg-deb").arg("--field").arg(&packages.deb))
        .ok()
        .stdout;
    for line in [
        "Package: mattervisor",
        "Recommends: postgresql, nginx-light | nginx",
        "libc6 (>= 2.",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let mut lintian = Command::new(lintian);
    lintian
        .args(["--allow-root", "--fail-on", "error,warning"])
        .args(["--tag-display-limit", "0"])
        .arg(&packages.deb);
    let lintian = run_for(&mut lintian, APT);
    assert_eq!(
        (lintian.code, lintian.stdout.as_str()),
        (0, ""),
        "{}",
        lintian.stderr
    );
}

/// The .rpm holds the same, says what it needs, and has the scriptlets. It cannot be installed here.
#[test]
fn the_rpm_holds_what_it_should() {
    let packages = need!(packages());
    let ask = |question: &str| {
        let mut rpm = Command::new("rpm");
        rpm.args(["-qp", question]).arg(&packages.rpm);
        run(&mut rpm).ok().stdout
    };
    let listed = ask("-l");
    let mut wanted = COMMON.to_vec();
    wanted.extend([
        "/etc/mattervisor",
        "/usr/lib/mattervisor",
        "/usr/lib/systemd/system/mattervisor.service",
        "/usr/share/mattervisor",
        "/usr/share/mattervisor/completions",
        "/usr/share/mattervisor/container",
        "/usr/share/zsh/site-functions/_mattervisorctl",
    ]);
    wanted.sort_unstable();
    let several = ["services.d", "doc/mattervisor", "licenses/mattervisor"];
    let mut found = paths(&listed);
    found.retain(|path| !several.iter().any(|it| path.ends_with(it)));
    assert_eq!(found, wanted);
    for path in every_document_and_service_file() {
        assert!(listed.lines().any(|it| it == path), "no {path}");
    }
    assert_eq!(
        ask("--configfiles").trim(),
        "/etc/mattervisor/mattervisor.toml"
    );
    let requires = ask("--requires");
    for needed in [
        "systemd >= 252",
        "/usr/sbin/update-alternatives",
        "libc.so.6(",
    ] {
        assert!(requires.contains(needed), "{needed}: {requires}");
    }
    assert_eq!(ask("--recommends").trim(), "nginx\npostgresql-server");
    let scripts = ask("--scripts");
    for each in ["postinstall", "preuninstall", "postuninstall", "posttrans"] {
        assert!(
            scripts.contains(&format!("{each} scriptlet")),
            "{each}: {scripts}"
        );
    }
    // Each of them is a script that a shell can read.
    for each in ["POSTIN", "PREUN", "POSTUN", "POSTTRANS"] {
        let script = ask_tag(&packages, each);
        let read = run(Command::new("sh").args(["-n", "-c", &script]));
        assert_eq!((read.code, read.stderr.as_str()), (0, ""), "{script}");
    }
}

fn ask_tag(packages: &Packages, tag: &str) -> String {
    let mut rpm = Command::new("rpm");
    rpm.args(["-qp", "--queryformat", &format!("%{{{tag}}}")]);
    run(rpm.arg(&packages.rpm)).ok().stdout
}

/// A machine of this release of Debian with nothing but systemd; what the package recommends lies in
/// apt's cache. It is up, and the packages are in /root.
fn bare_machine(suite: &str, packages: &Packages) -> Result<Machine, Missing> {
    // Unpacked beforehand, since it is most of what PostgreSQL and nginx bring, and nothing of it runs.
    let before = ["perl", "locales", "openssl", "iproute2", "ssl-cert", "curl"];
    let base = [
        "systemd",
        "systemd-sysv",
        "dbus",
        "procps",
        "init-system-helpers",
    ];
    let cached = [
        "--download-only",
        "--install-recommends",
        "postgresql",
        "nginx-light",
    ];
    let include: Vec<&str> = base.into_iter().chain(before).collect();
    let tree = debian_tree_of(suite, &format!("bare-{suite}"), &include, &cached)?;
    let mut machine = Machine::of(tree)?;
    machine.copy(&packages.deb, "/root/this.deb", 0o644);
    machine.copy(&packages.older_deb, "/root/older.deb", 0o644);
    machine.copy(&packages.broken_deb, "/root/broken.deb", 0o644);
    for name in ["mattermost", "mmctl"] {
        machine.copy(&binary(name), &format!("/opt/mattermost/bin/{name}"), 0o755);
    }
    machine.file("/etc/dpkg/dpkg.cfg.d/fast", 0o644, b"force-unsafe-io\n");
    machine.boot("mkdir -p /opt/mattermost/i18n /opt/mattermost/templates");
    Ok(machine)
}

/// Runs a line of shell on the machine.
fn shell(machine: &Machine, line: &str) -> Ctl {
    let environment = "export DEBIAN_FRONTEND=noninteractive HOME=/root; cd /; ";
    machine.run_within(APT, &["bash", "-c", &format!("{environment}{line}")])
}

fn apt_install(machine: &Machine, what: &str) -> String {
    let line = format!("apt-get install -y -q -o Dpkg::Use-Pty=0 {what} 2>&1");
    shell(machine, &line).ok().stdout
}

/// What `systemctl` says of a unit.
fn unit(machine: &Machine, name: &str) -> String {
    let line = format!("systemctl is-enabled {name}; systemctl is-active {name}");
    shell(machine, &line)
        .stdout
        .replace('\n', " ")
        .trim()
        .to_owned()
}

/// The answer to a request through nginx.
fn ping(machine: &Machine) -> String {
    let line = "curl -s -o /dev/null -w '%{http_code}' -H 'Host: mattermost.example.com' \
        http://127.0.0.1/api/v4/system/ping";
    shell(machine, line).stdout
}

/// Pids of the daemon's main process and of every service that has one.
fn pids(machine: &Machine) -> Vec<(String, u64)> {
    let status = shell(machine, "ctl --format json status").ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let services = status["services"].as_array().unwrap().iter();
    let named = services.map(|it| (it["name"].as_str().unwrap().to_owned(), it["pid"].as_u64()));
    let keeper = (
        "keeper".to_owned(),
        status["supervisor"]["keeper_pid"].as_u64(),
    );
    let all = named.chain([keeper]);
    all.filter_map(|(name, pid)| Some((name, pid?))).collect()
}

/// The pid of the control process.
fn control(machine: &Machine) -> u64 {
    let status = shell(machine, "ctl --format json status").ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["supervisor"]["pid"].as_u64().unwrap()
}

/// The paths that there are, of these.
fn there(machine: &Machine, paths: &str) -> String {
    shell(machine, &format!("ls -d {paths} 2>/dev/null")).stdout
}

/// One package, one edit, one command.
fn installs(machine: &Machine) {
    let said = apt_install(machine, "/root/older.deb");
    // No cluster, and the unit that stands in the way is named with the line that disables it.
    assert_eq!(shell(machine, "pg_lsclusters -h").ok().stdout, "");
    assert_eq!(unit(machine, "nginx.service"), "enabled active");
    assert!(said.contains("systemctl disable --now nginx\n"), "{said}");
    assert!(!said.contains("disable --now postgresql"), "{said}");
    assert!(said.contains("mattervisorctl reconfigure\n"), "{said}");
    // The daemon runs, with nothing under it.
    let daemon = unit(machine, "mattervisor.service");
    let journal = shell(machine, "journalctl --no-pager -n 30 -u mattervisor").stdout;
    assert_eq!(daemon, "enabled active", "{journal}");
    assert_eq!(pids(machine).len(), 1);
    let site = shell(
        machine,
        "stat -c '%a %U %G' /etc/mattervisor/mattervisor.toml",
    );
    assert_eq!(site.stdout, "640 root root\n");
    shell(machine, "getent group mattervisor").ok();
    let names = "readlink -f /usr/bin/ctl /usr/sbin/mattervisord; \
        test -s /usr/share/man/man1/ctl.1.gz || exit; \
        for name in ctl mattervisorctl; do \
            bash --norc -c \"source /usr/share/bash-completion/completions/$name; complete -p $name\" || exit; \
        done";
    let names = shell(machine, names).ok().stdout;
    assert!(
        names.starts_with("/usr/bin/mattervisorctl\n/usr/lib/mattervisor/mattervisord\n"),
        "{names}"
    );
    assert!(
        names.contains("-F _clap_complete_mattervisorctl mattervisorctl\n"),
        "{names}"
    );

    shell(machine, "systemctl disable --now nginx").ok();
    let edit = "sed -i 's/^#mattermost_external_url/mattermost_external_url/' /etc/mattervisor/mattervisor.toml";
    shell(machine, edit).ok();
    shell(machine, "ctl reconfigure").ok();
    assert_eq!(ping(machine), "200");
}

/// The daemon becomes the new one; no service and no request notices. A file that is no longer shipped is gone.
fn upgrades(machine: &Machine) {
    let gone = "/usr/share/mattervisor/services.d/gone.toml";
    assert_eq!(there(machine, gone).trim(), gone);
    let before = pids(machine);
    assert_eq!(before.len(), 4, "{before:?}");
    let old = control(machine);
    let requests = "rm -f /run/failed; touch /run/requests; while [ -e /run/requests ]; do \
        code=$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: mattermost.example.com' http://127.0.0.1/api/v4/system/ping); \
        echo $code >>/run/answers; done >/dev/null 2>&1 &";
    shell(machine, requests).ok();
    let said = apt_install(machine, "/root/this.deb");
    shell(machine, "rm /run/requests").ok();
    assert_eq!(pids(machine), before, "{said}");
    assert_ne!(control(machine), old, "{said}");
    for part in [
        "mattervisor: the keeper (pid ",
        "mattervisor: control process ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let answers = shell(machine, "sort /run/answers | uniq -c").ok().stdout;
    assert!(
        answers.trim().ends_with(" 200") && answers.lines().count() == 1,
        "{answers}"
    );
    assert_eq!(there(machine, gone), "");
    // What the administrator has written stays.
    shell(
        machine,
        "grep -q '^mattermost_external_url' /etc/mattervisor/mattervisor.toml",
    )
    .ok();
}

/// A daemon that cannot be replaced, or that is stopped, does not fail the upgrade, and stays as it is.
fn upgrades_whatever_the_daemon_does(machine: &Machine) {
    let before = (control(machine), pids(machine));
    let said = apt_install(machine, "/root/broken.deb");
    assert!(
        said.contains("goes on running; no service was touched"),
        "{said}"
    );
    assert_eq!((control(machine), pids(machine)), before, "{said}");
    assert_eq!(ping(machine), "200");
    apt_install(machine, "--allow-downgrades /root/this.deb");
    assert_eq!(pids(machine), before.1);

    shell(machine, "systemctl stop mattervisor").ok();
    apt_install(machine, "--reinstall /root/this.deb");
    assert_eq!(unit(machine, "mattervisor.service"), "enabled inactive");
    shell(
        machine,
        "systemctl start mattervisor && ctl wait --timeout 2m",
    )
    .ok();
}

/// A removal stops everything and keeps what is the administrator's; an installation goes on with it.
fn is_removed(machine: &Machine) {
    shell(machine, "apt-get remove -y -q mattervisor 2>&1").ok();
    shell(machine, "pgrep 'mattervisord|mattermost|postgres|nginx'").expect_code(1);
    let ours = "/usr/bin/ctl /usr/bin/mattervisorctl /usr/lib/mattervisor /usr/share/mattervisor \
        /etc/postgresql-common/createcluster.d/mattervisor.conf /usr/share/man/man1/ctl.1.gz";
    assert_eq!(there(machine, ours), "");
    let data = "/etc/mattervisor/mattervisor.toml\n/etc/mattervisor/secrets.toml\n/var/lib/mattervisor/postgresql\n";
    assert_eq!(there(machine, &data.replace('\n', " ")), data);
    apt_install(machine, "/root/this.deb");
    shell(machine, "ctl wait --timeout 2m").ok();
    assert_eq!(ping(machine), "200");
}

/// A purge keeps the data, which still serves; and removes it when it is asked to.
fn is_purged(machine: &Machine) {
    let said = shell(machine, "apt-get purge -y -q mattervisor 2>&1")
        .ok()
        .stdout;
    assert!(said.contains("kept: /var/lib/mattervisor."), "{said}");
    let gone = "/etc/mattervisor/mattervisor.toml /var/log/mattervisor /run/mattervisor";
    assert_eq!(there(machine, gone), "");
    let data = "/etc/mattervisor/secrets.toml\n/var/lib/mattervisor/mattermost\n/var/lib/mattervisor/postgresql\n";
    assert_eq!(there(machine, &data.replace('\n', " ")), data);
    apt_install(machine, "/root/this.deb");
    shell(
        machine,
        &format!("echo '{HOST}' >>/etc/mattervisor/mattervisor.toml && ctl reconfigure"),
    )
    .ok();
    assert_eq!(ping(machine), "200");

    shell(
        machine,
        "MATTERVISOR_PURGE_DATA=yes apt-get purge -y -q mattervisor 2>&1",
    )
    .ok();
    let left = "find / -xdev -name '*mattervisor*' -not -path '/sys/*' -not -path '/proc/*'";
    assert_eq!(shell(machine, left).ok().stdout, "");
}

fn lives(suite: &str) -> Result<(), Missing> {
    let packages = packages()?;
    let machine = bare_machine(suite, &packages)?;
    installs(&machine);
    upgrades(&machine);
    upgrades_whatever_the_daemon_does(&machine);
    is_removed(&machine);
    is_purged(&machine);
    Ok(())
}

#[test]
fn the_package_lives_and_dies_well_on_debian_12() {
    need!(lives("bookworm"));
}

#[test]
fn the_package_lives_and_dies_well_on_debian_13() {
    need!(lives("trixie"));
}
