//! The steps of a job: progress shows them to people, and tests hold a job at one.

use serde::{Serialize, Serializer};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run every check, before anything is created.
    Check,
    /// Read another program's dump to its end.
    CheckDump,
    /// Read another program's archive to its end.
    CheckFiles,
    /// Load another program's dump into a new database.
    RestoreDump,
    /// Unpack another program's archive beside the live files.
    UnpackFiles,
    /// Read the configuration in a backup.
    ReadConfiguration,
    /// Count the files and their bytes.
    CountFiles,
    /// Stop Mattermost, if needed.
    StopMattermost,
    /// Write the dump into the archive.
    DumpDatabase,
    /// Count rows: the dumped ones, or the restored ones.
    CountRows,
    /// Write files into the archive.
    CopyFiles,
    /// Sync everything that was written.
    WriteToDisk,
    /// Read and verify a whole backup.
    Verify,
    /// Read a backup, into a new database and beside the live files.
    ReadBackup,
    /// The server has all rows, and builds indexes.
    BuildIndexes,
    /// The server gathers statistics for its planner.
    GatherStatistics,
    /// Write the journal, and run the transaction that is the commit point.
    SwitchDatabases,
    /// Swap the files, after the commit point.
    SwitchFiles,
    /// Start Mattermost again.
    StartMattermost,
    /// Remove a safety copy.
    RemoveFiles,
}

impl Step {
    /// Steps of a backup, in order, offline or online.
    pub const CREATE: [Self; 9] = [
        Self::Check,
        Self::CountFiles,
        Self::StopMattermost,
        Self::DumpDatabase,
        Self::CountRows,
        Self::CopyFiles,
        Self::WriteToDisk,
        Self::StartMattermost,
        Self::Verify,
    ];
    /// Steps of a restore.
    pub const RESTORE: [Self; 10] = [
        Self::Check,
        Self::ReadBackup,
        Self::BuildIndexes,
        Self::WriteToDisk,
        Self::CountRows,
        Self::GatherStatistics,
        Self::StopMattermost,
        Self::SwitchDatabases,
        Self::SwitchFiles,
        Self::StartMattermost,
    ];
    /// Steps of an undo.
    pub const UNDO: [Self; 5] = [
        Self::Check,
        Self::StopMattermost,
        Self::SwitchDatabases,
        Self::SwitchFiles,
        Self::StartMattermost,
    ];

    /// The step in words, for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::CheckDump => "check the dump",
            Self::CheckFiles => "check the files",
            Self::RestoreDump => "restore the database",
            Self::UnpackFiles => "unpack the files",
            Self::ReadConfiguration => "read the backup",
            Self::CountFiles => "count files",
            Self::StopMattermost => "stop Mattermost",
            Self::DumpDatabase => "dump database",
            Self::CountRows => "count rows",
            Self::CopyFiles => "copy files",
            Self::WriteToDisk => "write to the disk",
            Self::Verify => "verify",
            Self::ReadBackup => "restore database and files",
            Self::BuildIndexes => "build indexes",
            Self::GatherStatistics => "gather statistics",
            Self::SwitchDatabases => "put into place",
            Self::SwitchFiles => "put files into place",
            Self::StartMattermost => "start Mattermost",
            Self::RemoveFiles => "remove files",
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.words().serialize(to)
    }
}
