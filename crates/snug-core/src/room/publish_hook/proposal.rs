//! The subject of a decision of the publish hook.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    ids::UserId,
    limits::PENDING_OVERHEAD_BYTES,
    protocol::{
        change::{Change, ChangeAction},
        json,
    },
    room::publish::Publication,
};

/// The subject of a decision.
#[derive(Debug)]
pub(in crate::room) enum Proposal {
    /// A message.
    Message(Publication<'static>),
    /// A change of a message's content.
    Change(Change<'static>),
}

impl Proposal {
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.key.as_deref(),
            Self::Change(change) => change.key.as_deref(),
        }
    }

    pub(super) fn event(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.event.as_deref(),
            Self::Change(_) => None,
        }
    }

    /// Returns the content. That of an append is the text to append.
    pub(super) fn data(&self) -> Cow<'_, RawValue> {
        match self {
            Self::Message(message) => Cow::Borrowed(&message.data),
            Self::Change(change) => match &change.action {
                ChangeAction::Edit(data) => Cow::Borrowed(data),
                ChangeAction::Append(text) => Cow::Owned(json::string(text)),
                ChangeAction::Delete { .. } => Cow::Borrowed(RawValue::NULL),
            },
        }
    }

    /// Replaces the content; returns false if it has the wrong type.
    pub(super) fn replace(&mut self, data: Box<RawValue>) -> bool {
        match self {
            Self::Message(message) => message.data = Cow::Owned(data),
            Self::Change(change) => match &mut change.action {
                ChangeAction::Edit(edited) => *edited = Cow::Owned(data),
                ChangeAction::Append(text) => match serde_json::from_str(data.get()) {
                    Ok(replaced) => *text = Cow::Owned(replaced),
                    Err(_) => return false,
                },
                ChangeAction::Delete { .. } => {}
            },
        }
        true
    }

    /// Returns the bytes of the content.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.data.get().len(),
            Self::Change(change) => match &change.action {
                ChangeAction::Edit(data) => data.get().len(),
                ChangeAction::Append(text) => text.len(),
                ChangeAction::Delete { .. } => 0,
            },
        }
    }

    /// Returns the bytes that it counts for: an upper bound of its JSON, with every character escaped.
    pub(super) fn weight(&self, user: &UserId) -> usize {
        let escaped = |text: &str| text.len().saturating_mul(6);
        let content = match self {
            Self::Change(Change {
                action: ChangeAction::Append(text),
                ..
            }) => escaped(text),
            _ => self.len(),
        };
        let mentions = match self {
            Self::Message(message) => message.mentions.iter(),
            Self::Change(_) => [].iter(),
        };
        let mentions = mentions.map(|one| escaped(one.as_str()).saturating_add(r#""","#.len()));
        content
            .saturating_add(mentions.sum())
            .saturating_add(escaped(user.as_str()))
            .saturating_add(self.event().map_or(0, escaped))
            .saturating_add(PENDING_OVERHEAD_BYTES)
    }
}
