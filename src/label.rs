//! What a request calls itself.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use crate::sync::Arc;

/// What a request calls itself: its route, say. Others read it in their
/// [`LockTimeout`](crate::LockTimeout). A clone copies no text.
///
/// # Examples
///
/// ```
/// use cloakroom::Label;
///
/// let label = Label::from("GET /cart");
/// assert_eq!(&*label, "GET /cart");
/// assert_eq!(label, Label::from(String::from("GET /cart")));
/// ```
#[derive(Clone)]
pub enum Label {
    /// A text of the program.
    Static(&'static str),
    /// A text that was made.
    Shared(Arc<str>),
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<Cow<'static, str>> for Label {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Label {}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
