//! A message as it is stored: the text of its push.

use std::rc::Rc;

/// The start of the text: see [`crate::protocol::push::Push::Message`].
const TAG: &str = r#"{"type":"message","#;

/// A stored message. Its text is the push that was sent when it was stored, so that it can be sent again
/// and listed without being parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage(Rc<str>);

impl StoredMessage {
    /// Wraps a stored text.
    pub fn new(text: Rc<str>) -> Self {
        Self(text)
    }

    /// Returns the push.
    pub fn push(&self) -> &Rc<str> {
        &self.0
    }

    /// Returns the fields, without the type and the opening brace.
    pub fn fields(&self) -> &str {
        fields_of(&self.0)
    }

    /// Returns the bytes of the message in a list, which has no types.
    pub fn listed_bytes(&self) -> usize {
        self.fields().len().saturating_add("{,".len())
    }
}

/// Returns the fields of a stored message, without the type and the opening brace. What is not a message
/// has no fields.
pub fn fields_of(text: &str) -> &str {
    text.strip_prefix(TAG).unwrap_or("}")
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
            event: None,
            key: None,
            data: RawValue::NULL,
        })
        .to_line();
        let message = StoredMessage::new(text.clone());
        let fields = r#""offset":7,"time":5,"user":"ann","data":null}"#;
        assert_eq!(message.fields(), fields);
        assert_eq!(message.listed_bytes(), fields.len() + 2);
        assert_eq!(message.push(), &text);
        assert_eq!(fields_of(""), "}");
    }
}
