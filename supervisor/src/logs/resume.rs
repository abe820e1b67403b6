//! Finds the place behind a line that a client has read before, by the inode of its file, or by its
//! stamp where that file has been compressed since; else behind the gap, which the client is told.

use super::{
    cursor::{Cursor, GAP, Origin},
    files,
    position::Position,
    program_files,
};

/// Compressed files that are looked into for a line by its stamp: of a burst many have lines from
/// about that moment.
const TRIES_MAX: usize = 64;

/// Behind a line that was read before; if it is gone, behind the gap.
pub(super) fn resume(origin: &Origin, place: Position) -> Cursor {
    let found = match origin {
        Origin::Log(dir) => {
            let (rotated, current) = files::all(dir);
            let plain = rotated.iter().rev().filter_map(|it| it.open().ok());
            // By the inode, newest first, and then into those that have been compressed.
            current
                .into_iter()
                .chain(plain.take_while(|segment| segment.len().is_some()))
                .filter(|segment| segment.id.1 == place.inode)
                .find_map(|segment| Cursor::behind(origin, segment, place))
                .or_else(|| {
                    let later = rotated.iter().filter(|it| it.at >= place.us);
                    let segments = later.take(TRIES_MAX).filter_map(|it| it.open().ok());
                    segments
                        .filter(|segment| segment.len().is_none())
                        .find_map(|segment| Cursor::behind(origin, segment, place))
                })
        }
        Origin::File(path) => program_files::open(path)
            .ok()
            .filter(|segment| segment.id.1 == place.inode)
            .or_else(|| program_files::renamed(path, place.inode))
            .and_then(|segment| Cursor::behind(origin, segment, place)),
    };
    found.unwrap_or_else(|| {
        let mut cursor = match origin {
            Origin::Log(dir) => {
                let (rotated, current) = files::all(dir);
                let mut later = rotated.iter().filter(|it| it.at >= place.us);
                let segment = later.find_map(|it| it.open().ok()).or(current);
                Cursor::at(origin.clone(), segment, 0)
            }
            Origin::File(_) => Cursor::at(origin.clone(), None, 0),
        };
        cursor.say(GAP);
        cursor
    })
}
