//! Reload tokens: a number that was never used before is written over the last one, in each file of
//! a service that has such a place, before a start or reload reads it.
//!
//! A new token is as long as the last one, so it is written in place in the same file: a newer file
//! that is put in place at the same moment stays, and so do alterations of an administrator around
//! the token.

use std::{
    io::{self, Read},
    os::unix::fs::FileExt,
};

use plan::{RenderedFile, Service, reload_token};
use safe_path::Dir;

use super::place::{self, Owners};

/// A longer file, which nobody has rendered, is left alone.
const FILE_BYTES_MAX: u64 = plan::PLAN_BYTES_MAX as u64;

/// Fills in the token of this number. Otherwise why it cannot, in words.
pub(crate) fn fill_tokens(service: &Service, number: u64) -> Result<(), String> {
    let token = reload_token::token(number);
    let files = service.files.iter();
    for file in files.filter(|it| reload_token::has_token(&it.content)) {
        let filled = Owners::of_file(service, file).and_then(|it| fill(file, &it, &token));
        filled.map_err(|error| {
            let path = file.path.display();
            format!("cannot write the reload token into {path}: {error}")
        })?;
    }
    Ok(())
}

fn fill(file: &RenderedFile, owners: &Owners, token: &str) -> io::Result<()> {
    let (parent, name) = place::split(&file.path)?;
    let opened = Dir::open_for(parent, owners.account)?.open_to_change(name)?;
    let mut text = String::new();
    (&opened).take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    for at in reload_token::places(&text) {
        opened.write_all_at(token.as_bytes(), at as u64)?;
    }
    Ok(())
}
