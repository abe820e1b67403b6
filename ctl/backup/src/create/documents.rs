//! Configuration files on their way into the archive: complete, or without their secrets.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read},
};

use safe_path::Folder;
use serde_json::Value;

use crate::{
    Error,
    archive::DOCUMENT_BYTES_MAX,
    manifest::LeftOut,
    secrets::{self, Names, Without},
};

/// Mattermost's configuration file, which lies in its home beside certificates.
pub(super) const CONFIG: &str = "config.json";
/// Mattervisor's site file and its secrets.
const SITE: &str = "mattervisor.toml";
const SECRETS: &str = "secrets.toml";
const SERVICES: &str = "services.d";

/// One entry of a directory on its way into the archive.
#[derive(Debug)]
pub(super) enum Document {
    /// A file that is saved unchanged.
    Whole {
        /// Name of the file in its directory.
        name: OsString,
        /// Name of the file in the archive.
        archived: String,
    },
    /// The text of a file without its secrets.
    Text {
        /// Name of the text in the archive.
        archived: String,
        /// The text.
        text: String,
    },
}

/// The entries of a directory to save, and those to leave out.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) list: Vec<Document>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A function that removes the secrets from a text.
type Strip = fn(&[u8], &Names) -> Option<Without>;

impl Documents {
    /// The files of Mattermost's home.
    pub(super) fn of_home(home: &Folder, without: Option<&Names>) -> Result<Self, Error> {
        let mut documents = Self::default();
        home.each::<Error>(|name| {
            let is_file = home
                .find(name)?
                .is_some_and(|found| found.metadata().is_file());
            let archived = match name.to_string_lossy() {
                _ if !is_file => return Ok(()),
                name if name == CONFIG => format!("files/{CONFIG}"),
                name => format!("files/home/{name}"),
            };
            let strip: Option<Strip> = (name == CONFIG).then_some(secrets::without_json);
            documents.add(home, name, archived, without, strip)
        })?;
        Ok(documents)
    }

    /// All entries of the directory of the site file.
    pub(super) fn of_site(site: &Folder, without: Option<&Names>) -> Result<Self, Error> {
        let mut documents = Self::default();
        site.each::<Error>(|name| {
            let text = name.to_string_lossy();
            if name == SERVICES && without.is_some() {
                return documents.services(site, name, without);
            }
            let archived = match &*text {
                SECRETS => format!("secrets/{SECRETS}"),
                text => format!("configuration/{text}"),
            };
            let strip: Option<Strip> = (name == SITE).then_some(toml);
            documents.add(site, name, archived, without, strip)
        })?;
        Ok(documents)
    }

    fn services(
        &mut self,
        site: &Folder,
        name: &OsStr,
        without: Option<&Names>,
    ) -> Result<(), Error> {
        let Some(found) = site.find(name)?.filter(|found| found.metadata().is_dir()) else {
            return Ok(());
        };
        let services = site.enter(&found)?;
        services.each(|name| {
            let archived = format!("configuration/{SERVICES}/{}", name.to_string_lossy());
            let is_service = name.as_encoded_bytes().ends_with(b".toml");
            self.add(
                &services,
                name,
                archived,
                without,
                is_service.then_some(toml),
            )
        })
    }

    fn add(
        &mut self,
        folder: &Folder,
        name: &OsStr,
        archived: String,
        without: Option<&Names>,
        strip: Option<Strip>,
    ) -> Result<(), Error> {
        let Some(names) = without else {
            let name = name.to_owned();
            self.list.push(Document::Whole { name, archived });
            return Ok(());
        };
        let stripped = match strip {
            Some(strip) => read(folder, name)?.and_then(|text| strip(&text, names)),
            None => None,
        };
        let Some(Without { text, settings }) = stripped else {
            self.left_out.push(LeftOut::File { name: archived });
            return Ok(());
        };
        self.left_out
            .extend(settings.into_iter().map(|setting| LeftOut::Setting {
                file: archived.clone(),
                setting,
            }));
        self.list.push(Document::Text { archived, text });
        Ok(())
    }
}

/// The driver of uploaded files, from Mattermost's own configuration.
pub(super) fn file_driver(home: &Folder) -> Result<Option<String>, Error> {
    let text = read(home, CONFIG.as_ref())?.unwrap_or_default();
    let config: Value = serde_json::from_slice(&text).unwrap_or_default();
    let driver = &config["FileSettings"]["DriverName"];
    Ok(driver
        .as_str()
        .filter(|driver| !driver.is_empty())
        .map(str::to_owned))
}

/// The content of a regular file; `None` if there is no such file.
fn read(folder: &Folder, name: &OsStr) -> Result<Option<Vec<u8>>, Error> {
    let path = folder.path().join(name);
    let whole = || -> io::Result<Option<Vec<u8>>> {
        let Some(found) = folder
            .find(name)?
            .filter(|found| found.metadata().is_file())
        else {
            return Ok(None);
        };
        if found.is_lent() {
            return Ok(None);
        }
        let mut text = Vec::new();
        folder
            .read(&found)?
            .take(DOCUMENT_BYTES_MAX)
            .read_to_end(&mut text)?;
        Ok(Some(text))
    };
    whole().map_err(Error::with("read", &path))
}

fn toml(text: &[u8], names: &Names) -> Option<Without> {
    secrets::without_toml(std::str::from_utf8(text).ok()?, names)
}
