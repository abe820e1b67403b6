//! Traps that an account can lay in its own directories, and their effect on the plan.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::PathBuf,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use super::*;

mod owners;

/// An account of every machine that is neither root nor ours.
const NOBODY: u32 = 65_534;

/// A tree with a directory of root and one of an account, and a service with a file in each; `None`
/// without root.
struct World {
    dir: TempDir,
    plan: Plan,
}

fn world(site: &str) -> Option<World> {
    if !nix::unistd::geteuid().is_root() {
        skip::skip!(=> None; "another account needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    for name in ["theirs", "ours", "outside"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    chown(dir.path().join("theirs"), Some(NOBODY), Some(NOBODY)).unwrap();
    let (etc, catalog) = (dir.path().join("etc/mattervisor"), dir.path().join("cat"));
    fs::create_dir_all(&etc).unwrap();
    fs::create_dir(&catalog).unwrap();
    let text = format!("command = ['/bin/true']\nuser = '{NOBODY}'\n{site}");
    let text = text.replace("DIR", &dir.path().display().to_string());
    fs::write(catalog.join("app.toml"), text).unwrap();
    let options = plan::Options {
        root: dir.path().to_owned(),
        catalog: Some(catalog),
    };
    let plan = plan::load(&plan::RealHost, &options).unwrap();
    Some(World { dir, plan })
}

impl World {
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Describes the file at this path: first letter of its kind, mode, owner and group.
    fn look(&self, path: &str) -> String {
        let it = fs::symlink_metadata(self.at(path)).unwrap();
        let kind = match it.file_type() {
            kind if kind.is_dir() => 'd',
            kind if kind.is_symlink() => 'l',
            _ => '-',
        };
        format!("{kind} {:o} {}:{}", it.mode() & 0o7777, it.uid(), it.gid())
    }

    fn broken(&self) -> Broken {
        let mut staged = stage(&self.plan);
        discard(&staged.files, &staged.made);
        staged.broken.remove("app").expect("it is broken")
    }

    fn apply(&self) {
        let staged = stage(&self.plan);
        assert!(staged.broken.is_empty(), "{:?}", staged.broken);
        let undo = swap(&staged.files, &staged.modes).unwrap();
        assert!(undo.forget().is_empty());
    }
}

const FILES: &str = "[[files]]\npath = 'DIR/ours/conf'\ncontent = 'new'\n\
                     [[files]]\npath = 'DIR/theirs/conf'\ncontent = 'new'\n";

#[test]
fn a_file_is_roots_and_its_groups_but_the_accounts_in_its_own_directory() {
    let Some(world) = world(FILES) else { return };
    world.apply();
    assert_eq!(world.look("ours/conf"), "- 640 0:65534");
    assert_eq!(world.look("theirs/conf"), "- 640 65534:65534");
    assert!(stage(&world.plan).files.is_empty(), "nothing is left to do");
}

#[test]
fn what_an_account_lays_out_where_its_file_goes_breaks_it_alone_and_hangs_nothing() {
    let Some(world) = world(FILES) else { return };
    let theirs = world.at("theirs/conf");
    // A fifo or a link is replaced like any other name, because it is never opened.
    mkfifo(&theirs, Mode::from_bits_truncate(0o600)).unwrap();
    world.apply();
    fs::remove_file(&theirs).unwrap();
    fs::write(world.at("outside/conf"), "roots").unwrap();
    symlink(world.at("outside/conf"), &theirs).unwrap();
    rehearse(&world.plan);
    world.apply();
    assert_eq!(fs::read(world.at("outside/conf")).unwrap(), b"roots");
    fs::remove_file(&theirs).unwrap();
    // A directory cannot be replaced by a file.
    fs::create_dir(&theirs).unwrap();
    assert_eq!(world.broken().own, Some(theirs.clone()));
    assert!(rehearse(&world.plan).broken.contains_key("app"));
    assert!(!world.at("ours/.conf.candidate").exists());
}

#[test]
fn what_comes_between_staging_and_swap_breaks_the_service_alone() {
    let Some(world) = world(FILES) else { return };
    let staged = stage(&world.plan);
    fs::create_dir(world.at("theirs/conf")).unwrap();
    let spoiled = swap(&staged.files, &staged.modes).unwrap().forget();
    assert_eq!(spoiled["app"].own, Some(world.at("theirs/conf")));
    assert_eq!(fs::read(world.at("ours/conf")).unwrap(), b"new");
}

#[test]
fn a_directory_of_another_account_is_refused_for_all() {
    let Some(world) = world(FILES) else { return };
    chown(world.at("theirs"), Some(1), None).unwrap();
    let broken = world.broken();
    assert_eq!(broken.own, None, "{}", broken.why);
    assert!(broken.why.contains("belongs to uid 1"), "{}", broken.why);
    assert!(!world.at("theirs/.conf.candidate").exists());
}

const STORE: &str = "[[directories]]\npath = 'DIR/theirs/store/files'\nmode = '0750'\n";

#[test]
fn a_link_on_the_way_to_a_directory_is_not_followed() {
    let Some(world) = world(STORE) else { return };
    fs::create_dir(world.at("outside/files")).unwrap();
    let before = world.look("outside/files");
    symlink(world.at("outside"), world.at("theirs/store")).unwrap();
    let broken = world.broken();
    assert!(broken.own.is_some(), "{}", broken.why);
    assert!(broken.why.contains("symbolic link"), "{}", broken.why);
    assert_eq!(world.look("outside/files"), before);
    fs::remove_file(world.at("theirs/store")).unwrap();
    world.apply();
    assert_eq!(world.look("theirs/store"), "d 755 65534:65534");
    assert_eq!(world.look("theirs/store/files"), "d 750 65534:65534");
}

#[test]
fn a_directory_that_root_has_moved_by_a_link_is_taken_as_it_is() {
    let text = "[[directories]]\npath = 'DIR/ours/data'\nmode = '0700'\n";
    let Some(world) = world(text) else { return };
    symlink(world.at("theirs"), world.at("ours/data")).unwrap();
    let before = world.look("theirs");
    world.apply();
    assert!(rehearse(&world.plan).host.is_empty());
    assert_eq!(world.look("theirs"), before);
}

const TOKENS: &str = "[[files]]\npath = 'DIR/ours/conf'\ncontent = 'a {{ reload_token }} b'\n\
                      [[files]]\npath = 'DIR/theirs/conf'\ncontent = 'a {{ reload_token }} b'\n";

#[test]
fn a_token_is_written_where_the_last_one_stands_and_changes_nothing_else() {
    let Some(world) = world(TOKENS) else { return };
    let app = &world.plan.services["app"];
    world.apply();
    for number in [7, 8] {
        fill_tokens(app, number).unwrap();
        for path in ["ours/conf", "theirs/conf"] {
            let text = fs::read_to_string(world.at(path)).unwrap();
            assert_eq!(text, format!("a reload-000000000000000{number} b"));
        }
        assert!(
            stage(&world.plan).files.is_empty(),
            "the token is no change"
        );
    }
    assert_eq!(world.look("ours/conf"), "- 640 0:65534");
    assert_eq!(world.look("theirs/conf"), "- 640 65534:65534");
    // A reconfigure, not this function, undoes changes around the token.
    let altered = "mine reload-0000000000000008, mine";
    fs::write(world.at("ours/conf"), altered).unwrap();
    fill_tokens(app, 9).unwrap();
    let text = fs::read_to_string(world.at("ours/conf")).unwrap();
    assert_eq!(text, "mine reload-0000000000000009, mine");
    assert_eq!(stage(&world.plan).files.len(), 1);
}

#[test]
fn no_token_is_written_through_what_an_account_lays_out() {
    let Some(world) = world(TOKENS) else { return };
    let app = &world.plan.services["app"];
    world.apply();
    let (theirs, outside) = (world.at("theirs/conf"), world.at("outside/conf"));
    let roots = "roots reload-0000000000000001";
    fs::write(&outside, roots).unwrap();
    let lay_outs: [&dyn Fn(); 3] = [
        &|| symlink(&outside, &theirs).unwrap(),
        &|| fs::hard_link(&outside, &theirs).unwrap(),
        &|| mkfifo(&theirs, Mode::from_bits_truncate(0o600)).unwrap(),
    ];
    for lay_out in lay_outs {
        fs::remove_file(&theirs).unwrap();
        lay_out();
        let why = fill_tokens(app, 9).unwrap_err();
        assert!(why.contains("theirs/conf"), "{why}");
        assert_eq!(fs::read_to_string(&outside).unwrap(), roots);
    }
}
