//! Counts entries and bytes before anything is read, to check the free space and to estimate the
//! time left.

use std::os::unix::fs::MetadataExt;

use safe_path::Folder;

use super::limits::{DEPTH_MAX, is_ours};
use crate::{Error, Watch};

/// Size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Entries of any kind.
    pub entries: u64,
    /// Bytes that regular files take on the disk: holes do not count.
    pub bytes: u64,
}

/// Counts what lies in a tree, as far as it can be read.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn survey(top: &Folder, watch: &mut Watch) -> Result<Survey, Error> {
    let mut survey = Survey::default();
    within(top, 0, &mut survey, watch)?;
    Ok(survey)
}

fn within(
    folder: &Folder,
    depth: usize,
    survey: &mut Survey,
    watch: &mut Watch,
) -> Result<(), Error> {
    let walked = folder.each(|name| {
        watch.add(1)?;
        let Ok(Some(found)) = folder.find(name) else {
            return Ok(());
        };
        let now = found.metadata();
        if now.is_dir() && is_ours(name) {
            return Ok(());
        }
        survey.entries += 1;
        if now.is_file() {
            survey.bytes += now.len().min(now.blocks() * 512);
        } else if now.is_dir() && depth < DEPTH_MAX {
            let Ok(below) = folder.enter(&found) else {
                return Ok(());
            };
            within(&below, depth + 1, survey, watch)?;
        }
        Ok(())
    });
    match walked {
        // Unreadable entries are reported later, when they are to be saved.
        Err(Error::Io { .. }) => Ok(()),
        walked => walked,
    }
}
