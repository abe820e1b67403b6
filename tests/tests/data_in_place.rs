//! Data in a directory of another package, under that package's account: `PostgreSQL` uses them in
//! place, they pass from one account to another and back, and below a directory of a third account
//! they are left alone.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::{Site, StatusExt as _, need, postgres, run, skip, status_field};
use nix::unistd::{User, geteuid};

/// Stands for `gitlab-psql`: an account of every machine that nothing runs as.
const PACKAGES: &str = "backup";
const OURS: &str = "daemon";
const THIRD: &str = "games";

fn uid(name: &str) -> u32 {
    User::from_name(name).unwrap().unwrap().uid.as_raw()
}

/// A machine with a directory such as GitLab's, `PLACE/postgresql/data` below a directory of
/// root's.
struct Machine {
    site: Site,
    bin: PathBuf,
    place: PathBuf,
}

impl Machine {
    fn new(bin: PathBuf) -> Self {
        let mut site = Site::new();
        site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
        let place = site.path("opt-gitlab");
        fs::create_dir(&place).unwrap();
        Self { site, bin, place }
    }

    /// The site file: `PostgreSQL` as this account, with its data in this directory of the place.
    fn site_file(&self, account: &str, dir: &str) {
        let dir = self.place.join(dir);
        self.site.site_file(&format!(
            "
                postgresql.enable = true
                postgresql.superuser = 'postgres'
                postgresql.shared_buffers = '16MB'
                postgresql.username = '{account}'
                postgresql.dir = '{}'
                postgresql.data_dir = '{}'
            ",
            dir.display(),
            dir.join("data").display(),
        ));
    }

    fn sql(&self, account: &str, query: &str) -> String {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={account}"), "--regid=nogroup"]);
        command.arg("--clear-groups").arg(self.bin.join("psql"));
        let socket = self.site.path("run/mattervisor/postgresql");
        command.arg("-h").arg(socket).current_dir("/");
        command.args(["-U", "postgres", "-d", "postgres", "-Atc", query]);
        run(&mut command).ok().stdout.trim().to_owned()
    }

    /// Asserts that the server's process and all its data belong to `account`.
    fn is_of(&self, account: &str, dir: &str) {
        let pid = self.site.status().pid("postgresql");
        let ids = status_field(pid, "Uid").unwrap();
        assert!(ids.starts_with(&format!("{}\t", uid(account))), "{ids}");
        let dir = self.place.join(dir);
        let mut others = Command::new("find");
        others.arg(dir).args(["!", "-user", account]);
        assert_eq!(run(&mut others).ok().stdout, "");
    }
}

#[test]
fn data_of_another_package_go_from_its_account_to_ours_and_back() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let bin = need!(postgres());
    let mut it = Machine::new(bin);
    it.site_file(PACKAGES, "postgresql");
    it.site.start_ready();
    it.sql(PACKAGES, "create table kept as select 42 as answer");
    it.is_of(PACKAGES, "postgresql");
    for (account, former) in [(OURS, PACKAGES), (PACKAGES, OURS)] {
        it.site_file(account, "postgresql");
        let told = it.site.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
        let change = format!("{former}:{former} becomes {account}:{account}");
        assert!(told.contains(&change), "{told}");
        it.is_of(former, "postgresql");
        it.site.ctl(&["reconfigure"]).ok();
        it.is_of(account, "postgresql");
        assert_eq!(it.sql(account, "select answer from kept"), "42");
    }
    assert_eq!(fs::metadata(&it.place).unwrap().uid(), 0);
}

/// Below a directory of a third account nothing changes its owner, since that account could replace
/// the data. The running server goes on.
#[test]
fn data_in_a_directory_of_a_third_account_are_left_alone_and_it_is_said() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let bin = need!(postgres());
    let mut it = Machine::new(bin);
    it.site_file(OURS, "postgresql");
    it.site.start_ready();
    let pid = it.site.status().pid("postgresql");
    let third = it.place.join("third");
    let data = third.join("postgresql/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    chown(&third, Some(uid(THIRD)), None).unwrap();
    for path in [data.parent().unwrap(), &data, &data.join("PG_VERSION")] {
        chown(path, Some(uid(PACKAGES)), None).unwrap();
    }
    it.site_file(OURS, "third/postgresql");
    for arguments in [&["reconfigure", "--dry-run"][..], &["reconfigure"]] {
        let told = it.site.ctl(arguments).expect_code(1).both();
        let owner = format!(
            "{} lies in a directory of uid {}, who could put anything in its place",
            data.parent().unwrap().display(),
            uid(THIRD)
        );
        assert!(told.contains(&owner), "{told}");
        for path in [data.parent().unwrap(), &data, &data.join("PG_VERSION")] {
            assert_eq!(fs::metadata(path).unwrap().uid(), uid(PACKAGES));
        }
    }
    assert_eq!(it.site.status().pid("postgresql"), pid);
    assert_eq!(it.sql(OURS, "select 6 * 7"), "42");
}
