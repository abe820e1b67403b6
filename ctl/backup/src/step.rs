//! The steps of a job: what progress tells people, and what tests hold a job at.

use serde::{Serialize, Serializer};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that can be known before anything is made.
    Check,
    /// A dump of another program is read to its end.
    CheckDump,
    /// The same of an archive of files.
    CheckFiles,
    /// A dump of another program goes into a new database.
    RestoreDump,
    /// The files of another program's archive go beside the live ones.
    UnpackFiles,
    /// The configuration in a backup is read.
    ReadConfiguration,
    /// How many files there are, and how long they are.
    CountFiles,
    /// Mattermost is stopped, if it has to be.
    StopMattermost,
    /// The dump goes into the archive.
    DumpDatabase,
    /// Rows are counted: those that were dumped, or those that were restored.
    CountRows,
    /// Files go into the archive.
    CopyFiles,
    /// All that was written reaches the disk.
    WriteToDisk,
    /// A backup is read as a whole.
    Verify,
    /// A backup is read, into a new database and beside the live files.
    ReadBackup,
    /// The server has all rows, and builds indexes.
    BuildIndexes,
    /// The server learns what its planner needs.
    GatherStatistics,
    /// The journal, and the one transaction that is the commit point.
    SwitchDatabases,
    /// What follows the commit point: files change places.
    SwitchFiles,
    /// Mattermost runs again.
    StartMattermost,
    /// A safety copy goes.
    RemoveFiles,
}

impl Step {
    /// Those of a backup, in order, Mattermost running or not.
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
    /// Those of a restore.
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
    /// Those of a restore that is undone.
    pub const UNDO: [Self; 5] = [
        Self::Check,
        Self::StopMattermost,
        Self::SwitchDatabases,
        Self::SwitchFiles,
        Self::StartMattermost,
    ];

    /// For people.
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
