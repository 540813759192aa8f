//! Entries: what stands at an offset of a room, as it is stored. Each is a message, or says what becomes of one.

use std::rc::Rc;

use serde::Deserialize;

use crate::ids::{Offset, Timestamp, UserId};

/// The start of a message's text: see [`crate::protocol::push::Push::Message`].
const MESSAGE_TAG: &str = r#"{"type":"message","#;
/// The start of a change's text: see [`crate::protocol::push::Push::Change`].
const CHANGE_TAG: &str = r#"{"type":"change","#;
/// The start of a summary of reactions: see [`crate::protocol::push::Push::Reactions`].
const REACTIONS_TAG: &str = r#"{"type":"reactions","#;

/// A stored entry. Its text is a push, so that it can be sent again and listed without being parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry(Rc<str>);

/// The fields of a stored text that Snug reads again.
#[derive(Debug, Deserialize)]
pub(crate) struct EntryFields {
    /// The entry's offset.
    pub(crate) offset: Offset,
    /// The message that the entry is about; `None` if it is a message itself.
    pub(crate) of: Option<Offset>,
    /// The time of a message.
    pub(crate) time: Option<Timestamp>,
    /// The author of a message.
    pub(crate) user: Option<UserId>,
    /// The first message of the thread, if a message is a reply.
    pub(crate) re: Option<Offset>,
}

impl StoredEntry {
    /// Wraps a stored text.
    pub fn new(text: Rc<str>) -> Self {
        Self(text)
    }

    /// Returns the text of a change that has been superseded by a later one, or is described elsewhere: only
    /// its offset, and that of the message.
    pub fn bare_change(offset: Offset, of: Offset) -> String {
        format!(r#"{CHANGE_TAG}"offset":{},"of":{}}}"#, offset.0, of.0)
    }

    /// Returns the push.
    pub fn push(&self) -> &Rc<str> {
        &self.0
    }

    /// Returns the fields, without the type and the opening brace.
    pub fn fields(&self) -> &str {
        fields_of(&self.0)
    }

    /// Returns the bytes of the entry in a list, which has no types.
    pub fn listed_bytes(&self) -> usize {
        self.fields().len().saturating_add("{,".len())
    }

    /// Returns true if it is about a message, rather than one itself.
    pub fn is_change(&self) -> bool {
        is_change(&self.0)
    }

    /// Returns the fields that Snug reads again; `None` if the text is not an entry.
    pub(crate) fn read(&self) -> Option<EntryFields> {
        serde_json::from_str(&self.0).ok()
    }
}

/// Returns the fields of a stored text, without the type and the opening brace. What is not an entry has no
/// fields.
pub fn fields_of(text: &str) -> &str {
    text.strip_prefix(MESSAGE_TAG)
        .or_else(|| text.strip_prefix(CHANGE_TAG))
        .or_else(|| text.strip_prefix(REACTIONS_TAG))
        .unwrap_or("}")
}

/// Returns true if the text is about a message, rather than one itself. In a row, all such texts are bare changes.
pub fn is_change(text: &str) -> bool {
    text.starts_with(CHANGE_TAG) || text.starts_with(REACTIONS_TAG)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        ids::{Offset, Timestamp, UserId},
        protocol::push::{Message, Push},
    };

    #[test]
    fn returns_the_fields_of_every_message_push() {
        let text = Push::Message(Message {
            offset: Offset(7),
            time: Timestamp(5),
            user: &UserId::parse("ann").unwrap(),
            connection: None,
            info: None,
            event: None,
            re: None,
            mentions: &[],
            key: None,
            data: RawValue::NULL,
        })
        .to_line();
        let message = StoredEntry::new(text.clone());
        let fields = r#""offset":7,"time":5,"user":"ann","data":null}"#;
        assert_eq!(message.fields(), fields);
        assert_eq!(message.listed_bytes(), fields.len() + 2);
        assert_eq!(message.push(), &text);
        assert_eq!(fields_of(""), "}");
    }

    #[test]
    fn a_bare_change_has_its_offset_and_that_of_the_message() {
        let change = StoredEntry::new(StoredEntry::bare_change(Offset(9), Offset(7)).into());
        assert!(change.is_change());
        assert_eq!(change.fields(), r#""offset":9,"of":7}"#);
        let fields = change.read().unwrap();
        assert_eq!((fields.offset, fields.of), (Offset(9), Some(Offset(7))));
    }
}
