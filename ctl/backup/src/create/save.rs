//! Writes the dump into the archive, and the files after it.
//!
//! This order gives each row its file: a file that a row of the snapshot names exists before the
//! snapshot.

use safe_path::Folder;

use super::{
    checks::Sources,
    documents::{Document, Documents},
};
use crate::{
    Error, Step, Unit, Watch,
    archive::{self, Writer},
    files::{Saver, Troubles},
    manifest::Counts,
    postgres::{Dump, Server},
};

/// Saves the dump in pieces, and the row counts beside it. Answers the dump's length in bytes.
pub(super) fn database(
    writer: &mut Writer,
    dump: Dump,
    server: &Server,
    watch: &mut Watch,
) -> Result<u64, Error> {
    watch.step(
        Step::DumpDatabase,
        Some(dump.facts.table_bytes),
        Unit::Bytes,
    );
    let stop = watch.stop().clone();
    let mut flow = dump.begin(server, &stop)?;
    let mut bytes = 0;
    while let Some(piece) = flow.piece()? {
        let length = piece.bytes.len() as u64;
        bytes += length;
        writer.piece(piece)?;
        watch.add(length)?;
    }
    watch.step(Step::CountRows, None, Unit::Rows);
    let counted = flow.finish()?;
    let counts = Counts {
        tables: counted.tables,
        warnings: counted.warnings,
    };
    let text = serde_json::to_vec_pretty(&counts).map_err(std::io::Error::from)?;
    writer.document(archive::DATABASE, &text)?;
    Ok(bytes)
}

/// Saves all files. Answers their number, and what happened to them.
pub(super) fn files(
    writer: &mut Writer,
    sources: &Sources,
    watch: &mut Watch,
) -> Result<(u64, Troubles), Error> {
    let mut saver = Saver::new(writer);
    for (name, folder) in &sources.trees {
        saver.tree(folder, &format!("files/{name}"), watch)?;
    }
    for (folder, documents) in [&sources.home, &sources.site] {
        save(&mut saver, folder, documents, watch)?;
    }
    Ok((saver.files, saver.troubles))
}

fn save(
    saver: &mut Saver<'_>,
    folder: &Folder,
    documents: &Documents,
    watch: &mut Watch,
) -> Result<(), Error> {
    for document in &documents.list {
        match document {
            Document::Whole { name, archived } => {
                saver.entry(folder, name, archived.as_bytes(), watch)?;
            }
            Document::Text { archived, text } => saver.document(archived, text)?,
        }
    }
    Ok(())
}
