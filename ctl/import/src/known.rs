//! What is known of something that GitLab's package had. Unknown is not unset: nothing follows from it.

/// Set, unset, or not to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known<T = String> {
    Set(T),
    Unset,
    /// Only Ruby knows it, and why.
    Unknown(String),
}

impl<T> Known<T> {
    /// The value, where there is one.
    pub(super) fn set(self) -> Option<T> {
        match self {
            Self::Set(it) => Some(it),
            Self::Unset | Self::Unknown(_) => None,
        }
    }

    /// What follows from the value.
    pub(super) fn and_then<U>(self, then: impl FnOnce(T) -> Known<U>) -> Known<U> {
        match self {
            Self::Set(it) => then(it),
            Self::Unset => Known::Unset,
            Self::Unknown(why) => Known::Unknown(why),
        }
    }

    /// See [`Known::and_then`].
    pub(super) fn map<U>(self, then: impl FnOnce(T) -> U) -> Known<U> {
        self.and_then(|it| Known::Set(then(it)))
    }

    /// Something else in the place of what is unset.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Unset => other(),
            known => known,
        }
    }
}

impl Known {
    /// A default in the place of what is unset.
    pub(super) fn or_text(self, default: &str) -> Self {
        self.or(|| Self::Set(default.to_owned()))
    }

    /// Where an empty text says nothing.
    pub(super) fn not_empty(self) -> Self {
        match self {
            Self::Set(text) if text.is_empty() => Self::Unset,
            known => known,
        }
    }
}
