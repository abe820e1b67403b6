//! Places: where in which file something is written.
//!
//! A place keeps its file's text alive and is cheap to copy; line and column are worked out only
//! for a place that is reported.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// A file that was read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    path: PathBuf,
    text: String,
    /// Offsets at which lines begin, worked out at the first question: a file with thousands of
    /// mistakes must not be searched for each of them.
    lines: OnceLock<Vec<usize>>,
}

impl SourceFile {
    pub(crate) fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_owned(),
            text,
            lines: OnceLock::new(),
        }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The beginning of the line of an offset, and its number from 0.
    fn line(&self, offset: usize) -> (usize, usize) {
        let lines = self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect()
        });
        let number = lines.partition_point(|start| *start <= offset) - 1;
        (lines[number], number)
    }
}

/// A place in a file, or a file as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    source: Arc<SourceFile>,
    offset: Option<usize>,
}

impl Place {
    /// The file as a whole.
    pub(crate) fn whole(path: &Path) -> Self {
        Self {
            source: Arc::new(SourceFile::new(path, String::new())),
            offset: None,
        }
    }

    /// A file that was read, as a whole.
    pub(crate) fn of(source: Arc<SourceFile>) -> Self {
        let offset = None;
        Self { source, offset }
    }

    /// A place in a text that is not TOML.
    pub(crate) fn in_text(path: &Path, text: &str, offset: usize) -> Self {
        Self {
            source: Arc::new(SourceFile::new(path, text.to_owned())),
            offset: Some(offset),
        }
    }

    /// The place at another offset of the same file.
    pub(crate) fn at(&self, offset: usize) -> Self {
        Self {
            source: Arc::clone(&self.source),
            offset: Some(offset),
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.source.path
    }

    /// Line and column from 1.
    pub(crate) fn position(&self) -> Option<(u32, u32)> {
        let text = self.source.text.as_bytes();
        let offset = self.offset?.min(text.len());
        let (start, lines) = self.source.line(offset);
        let columns = String::from_utf8_lossy(&text[start..offset])
            .chars()
            .count();
        Some((count(lines), count(columns)))
    }

    /// The text at this place.
    pub(crate) fn written(&self) -> &str {
        let start = self.offset.unwrap_or_default();
        self.source.text.get(start..).unwrap_or_default()
    }

    /// The place of an offset inside the string value that starts here.
    pub(crate) fn inside(&self, text: &str, offset: usize) -> Self {
        let Some(start) = self.offset else {
            return self.clone();
        };
        let written = &self.source.text[start.min(self.source.text.len())..];
        // Source text and its meaning differ by quotes and escapes: look for the same words.
        let needle: String = text
            .get(offset..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| !matches!(c, '"' | '\\' | '\n'))
            .take(40)
            .collect();
        let line = text.get(..offset).unwrap_or_default().matches('\n').count();
        let skip = if line == 0 {
            0
        } else {
            written
                .match_indices('\n')
                .nth(line - 1)
                .map_or(0, |(p, _)| p)
        };
        match written[skip..].find(&needle) {
            Some(found) if !needle.is_empty() => self.at(start + skip + found),
            _ => self.clone(),
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX - 1) + 1
}
