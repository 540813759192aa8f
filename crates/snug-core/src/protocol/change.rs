//! Changes of messages, as a client or the back end asks for them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{capability::Capability, ids::Offset, names::named_enum};

/// A change of a message.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The offset of the message.
    pub of: Offset,
    /// The action.
    pub action: ChangeAction<'a>,
    /// The version that the message must have.
    pub if_version: Option<u64>,
    /// The idempotency key, under which the change is made once.
    pub key: Option<Cow<'a, str>>,
}

/// The action of a change on its message.
#[derive(Clone, Debug)]
pub enum ChangeAction<'a> {
    /// Replaces the content.
    Edit(Cow<'a, RawValue>),
    /// Appends to the content: to a string, or to the `text` of an object.
    Append(Cow<'a, str>),
    /// Takes the content away for good.
    Delete {
        /// The reason, for the other members.
        reason: Option<Cow<'a, str>>,
    },
}

named_enum! {
    /// The kind of a change.
    pub enum ActionKind {
        /// See [`ChangeAction::Edit`].
        Edit = "edit",
        /// See [`ChangeAction::Append`].
        Append = "append",
        /// See [`ChangeAction::Delete`].
        Delete = "delete",
    }
}

impl Change<'_> {
    /// Returns the change with texts of its own.
    pub fn into_owned(self) -> Change<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Change {
            of: self.of,
            action: match self.action {
                ChangeAction::Edit(data) => ChangeAction::Edit(Cow::Owned(data.into_owned())),
                ChangeAction::Append(text) => ChangeAction::Append(owned(text)),
                ChangeAction::Delete { reason } => ChangeAction::Delete {
                    reason: reason.map(owned),
                },
            },
            if_version: self.if_version,
            key: self.key.map(owned),
        }
    }
}

impl ChangeAction<'_> {
    /// Returns the kind.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Edit(_) => ActionKind::Edit,
            Self::Append(_) => ActionKind::Append,
            Self::Delete { .. } => ActionKind::Delete,
        }
    }
}

impl ActionKind {
    /// Returns the capability for one's own messages, and the one for those of all users.
    pub fn needs(self) -> (Capability, Capability) {
        match self {
            Self::Edit | Self::Append => (Capability::Edit, Capability::EditAny),
            Self::Delete => (Capability::Delete, Capability::DeleteAny),
        }
    }
}
