//! The checks of a backup: everything that can be known before anything is stopped or written.

use safe_path::Folder;

use super::{
    Options,
    documents::{self, Documents},
    environment::Environment,
};
use crate::{
    Error, Refusal, Step, Unit, Watch, archive,
    configuration::Configuration,
    files::{Survey, survey},
    manifest::{LeftOut, Manifest, Place, SavedTree, SecretKind},
    postgres::{Asked, Facts},
    secrets::Names,
    target::{self, Target},
};

/// Expected size of a compressed dump, in percent of its database: measured dumps took 8 to 30.
const DUMP_PERCENT: u64 = 35;
/// Reserve for everything else that is written.
const SPARE_BYTES: u64 = 16 << 20;

/// The checked sources of a backup.
pub struct Checked {
    pub(super) sources: Sources,
    pub(super) survey: Survey,
    pub(super) manifest: Manifest,
    pub(super) asked: Asked,
}

/// Files to save.
pub(super) struct Sources {
    pub(super) trees: Vec<(String, Folder)>,
    pub(super) home: (Folder, Documents),
    pub(super) site: (Folder, Documents),
}

pub(super) fn check(
    configuration: &Configuration,
    options: Options,
    target: &Target,
    watch: &mut Watch,
) -> Result<Checked, Error> {
    watch.step(Step::Check, None, Unit::Files);
    let asked = Asked::open(&configuration.database, watch.stop())?;
    let sources = sources(configuration, options)?;
    watch.step(Step::CountFiles, None, Unit::Files);
    let mut survey = Survey::default();
    let mut trees = Vec::new();
    for (name, folder) in &sources.trees {
        let Survey { entries, bytes } = self::survey(folder, watch)?;
        survey.entries += entries;
        survey.bytes += bytes;
        trees.push(SavedTree {
            name: name.clone(),
            path: folder.path().to_owned(),
            entries,
            bytes,
        });
    }
    space(&asked.facts, survey, target)?;
    let manifest = Manifest {
        trees,
        pg_dump_major: asked.tools.major,
        ..manifest(configuration, options, &sources)?
    };
    Ok(Checked {
        sources,
        survey,
        manifest,
        asked,
    })
}

fn sources(configuration: &Configuration, options: Options) -> Result<Sources, Error> {
    let account = configuration.account()?;
    let open = |path: &std::path::Path| {
        Folder::open(path, Some(account)).map_err(Error::with("open", path))
    };
    let mut trees = Vec::new();
    for tree in &configuration.trees {
        trees.push((tree.name.clone(), open(&tree.path)?));
    }
    let names = if options.without_secrets {
        Some(Names::read(&configuration.variables)?)
    } else {
        None
    };
    let (home, site) = (open(&configuration.home)?, open(&configuration.site)?);
    let of_home = Documents::of_home(&home, names.as_ref())?;
    let of_site = Documents::of_site(&site, names.as_ref())?;
    Ok(Sources {
        trees,
        home: (home, of_home),
        site: (site, of_site),
    })
}

fn space(facts: &Facts, survey: Survey, target: &Target) -> Result<(), Error> {
    let needs = facts.bytes / 100 * DUMP_PERCENT + survey.bytes + SPARE_BYTES;
    let free =
        target::free(target).map_err(Error::with("find out what is free at", target.path()))?;
    if needs > free {
        let path = target.path().to_owned();
        return Err(Refusal::Space { path, needs, free }.into());
    }
    Ok(())
}

fn manifest(
    configuration: &Configuration,
    options: Options,
    sources: &Sources,
) -> Result<Manifest, Error> {
    let environment = Environment::of(configuration);
    let driver = match environment.file_driver {
        Some(driver) => driver,
        None => documents::file_driver(&sources.home.0)?.unwrap_or_else(|| "local".to_owned()),
    };
    let mut left_out = Vec::new();
    if driver != "local" {
        left_out.push(LeftOut::UploadedFiles {
            driver: driver.clone(),
        });
    }
    left_out.extend_from_slice(&sources.home.1.left_out);
    left_out.extend_from_slice(&sources.site.1.left_out);
    left_out.sort();
    let mut dump_holds = SecretKind::ALWAYS.to_vec();
    if environment.in_database {
        dump_holds.push(SecretKind::Configuration);
    }
    let host = nix::unistd::gethostname().map_err(std::io::Error::from)?;
    Ok(Manifest {
        format: archive::FORMAT,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        created: String::new(),
        host: host.to_string_lossy().into_owned(),
        mode: options.mode,
        mattermost_version: configuration.mattermost_version.clone(),
        database: Facts::default(),
        pg_dump_major: 0,
        trees: Vec::new(),
        file_driver: driver,
        configuration: if environment.in_database {
            Place::Database
        } else {
            Place::File
        },
        left_out,
        dump_holds,
    })
}
