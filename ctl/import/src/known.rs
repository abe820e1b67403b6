//! Knowledge about a value that GitLab's package had. Unknown is not unset: the import decides
//! nothing from an unknown value.

/// A value that was set, was unset, or cannot be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known<T = String> {
    Set(T),
    Unset,
    /// Only Ruby knows the value, for this reason.
    Unknown(String),
}

impl<T> Known<T> {
    /// The value, if it was set.
    pub(super) fn set(self) -> Option<T> {
        match self {
            Self::Set(it) => Some(it),
            Self::Unset | Self::Unknown(_) => None,
        }
    }

    /// Derives from a set value; unset stays unset, and unknown stays unknown.
    pub(super) fn and_then<U>(self, then: impl FnOnce(T) -> Known<U>) -> Known<U> {
        match self {
            Self::Set(it) => then(it),
            Self::Unset => Known::Unset,
            Self::Unknown(why) => Known::Unknown(why),
        }
    }

    /// [`Known::and_then`] for a function that always has a value.
    pub(super) fn map<U>(self, then: impl FnOnce(T) -> U) -> Known<U> {
        self.and_then(|it| Known::Set(then(it)))
    }

    /// Replaces an unset value.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Unset => other(),
            known => known,
        }
    }
}

impl Known {
    /// Replaces an unset value by a default.
    pub(super) fn or_text(self, default: &str) -> Self {
        self.or(|| Self::Set(default.to_owned()))
    }

    /// Takes an empty text as unset.
    pub(super) fn not_empty(self) -> Self {
        match self {
            Self::Set(text) if text.is_empty() => Self::Unset,
            known => known,
        }
    }
}
