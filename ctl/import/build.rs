//! Embeds the catalogue in the program, so that `ctl import` can check its output on any machine,
//! without a catalogue on disk.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let here = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let catalogue = Path::new(&here).join("../../services.d").canonicalize()?;
    println!("cargo::rerun-if-changed={}", catalogue.display());
    let mut files = Vec::new();
    gather(&catalogue, &mut files)?;
    files.sort();
    let mut source = String::from("[\n");
    for file in files {
        let name = file.strip_prefix(&catalogue).map_err(io::Error::other)?;
        let _ = writeln!(
            source,
            "    ({:?}, include_str!({:?})),",
            name.display().to_string(),
            file.display().to_string()
        );
    }
    source.push_str("]\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("catalogue.rs"), source)
}

fn gather(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            gather(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
