//! What a full disk took of a service that says nothing more.

use std::time::Instant;

use super::*;

/// The count would die with the keeper: it is told once there is room, not with the next line.
#[test]
fn what_was_lost_is_told_once_there_is_room_though_no_line_comes() {
    let tmp = Rc::new(TempDir::new().unwrap());
    if !small_disk(&tmp) {
        return;
    }
    let filler = tmp.path().join("filler");
    let mut full = File::create(&filler).unwrap();
    while full.write(&[0; 4096]).is_ok() {}
    let mut world = World::with(Rc::clone(&tmp), Spec::default(), Places::usual());
    world.writer.write_all(b"lost\n").unwrap();
    world.handle.sync();
    drop(full);
    fs::remove_file(&filler).unwrap();
    let current = tmp.path().join("var/s").join(CURRENT);
    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let told = fs::read_to_string(&current).unwrap_or_default();
        if !told.is_empty() || Instant::now() > end {
            break told;
        }
        let _ = nix::poll::poll(&mut [], 5u8);
    };
    world.handle.stop();
    nix::mount::umount(tmp.path()).unwrap();
    assert!(told.contains("[mattervisor] 1 lines ("), "{told:?}");
}
