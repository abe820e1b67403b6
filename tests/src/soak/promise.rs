//! The promises of a supervisor that hold whatever a soak does to it.

/// A promise that every kill and fault must leave unbroken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A line that a pipe took is in the log, or a mark says where lines are missing, or how many.
    LinesKept,
    /// No line is in the log twice.
    LinesOnce,
    /// Every line is whole.
    LinesWhole,
    /// At no moment are there processes of two runs of one service.
    OneOfEach,
    /// A service that nobody touches keeps its process as long as the keeper lives.
    PidsKept,
    /// A service that was stopped stays held, and no other service is held.
    HoldsKept,
    /// The effect of an operation that `ctl` reports as done is there.
    AnswersTrue,
    /// Everything is up and answers again in time.
    BackInTime,
    /// The keeper reaps every child that ends.
    Reaped,
    /// Keeper and control process do not grow in memory or descriptors.
    Flat,
    /// After the daemon's end, clean or not, no process of a service is left.
    NothingLeft,
    /// A process that nobody can attribute is named, and not killed.
    StraysNamed,
    /// SIGTERM ends the supervisor with exit code 0.
    CleanEnd,
    /// Two supervisors never run on one root.
    OneSupervisor,
    /// Nothing panics.
    NoPanic,
    /// Rows and files are those from before the operation, or those that it was to bring; every
    /// backup with a final name is complete.
    Whole,
    /// The same operation, asked for once more, works.
    NextTry,
    /// No lease, half-made database, staged file or part of a backup stays.
    Tidy,
}

impl Promise {
    /// Promises of a restore, in the order of the table.
    pub const OF_RESTORES: [Self; 5] = [
        Self::Whole,
        Self::BackInTime,
        Self::NextTry,
        Self::Tidy,
        Self::AnswersTrue,
    ];
    /// Promises of the supervisor, in the order of the table.
    pub const OF_SUPERVISOR: [Self; 15] = [
        Self::LinesKept,
        Self::LinesOnce,
        Self::LinesWhole,
        Self::OneOfEach,
        Self::PidsKept,
        Self::HoldsKept,
        Self::AnswersTrue,
        Self::BackInTime,
        Self::Reaped,
        Self::Flat,
        Self::NothingLeft,
        Self::StraysNamed,
        Self::CleanEnd,
        Self::OneSupervisor,
        Self::NoPanic,
    ];

    /// What the report counts when the promise is broken.
    pub const fn broken(self) -> &'static str {
        match self {
            Self::LinesKept => "lines lost without a mark",
            Self::LinesOnce => "lines doubled",
            Self::LinesWhole => "lines split",
            Self::OneOfEach => "two of one service at a moment",
            Self::PidsKept => "pids of untouched services changed",
            Self::HoldsKept => "holds wrong",
            Self::AnswersTrue => "answers untrue",
            Self::BackInTime => "not back in time",
            Self::Reaped => "zombies",
            Self::Flat => "memory or descriptors grown",
            Self::NothingLeft => "processes left",
            Self::StraysNamed => "strays not named",
            Self::CleanEnd => "ends not clean",
            Self::OneSupervisor => "second supervisors",
            Self::NoPanic => "panics",
            Self::Whole => "neither old nor new whole",
            Self::NextTry => "next tries failed",
            Self::Tidy => "left half made",
        }
    }

    /// A short name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinesKept => "lines_lost",
            Self::LinesOnce => "lines_doubled",
            Self::LinesWhole => "lines_split",
            Self::OneOfEach => "two_of_one",
            Self::PidsKept => "pids_changed",
            Self::HoldsKept => "holds_wrong",
            Self::AnswersTrue => "answers_untrue",
            Self::BackInTime => "not_back",
            Self::Reaped => "zombies",
            Self::Flat => "grown",
            Self::NothingLeft => "left",
            Self::StraysNamed => "strays_not_named",
            Self::CleanEnd => "ends_not_clean",
            Self::OneSupervisor => "second_supervisors",
            Self::NoPanic => "panics",
            Self::Whole => "not_whole",
            Self::NextTry => "next_try_failed",
            Self::Tidy => "left_half_made",
        }
    }
}
