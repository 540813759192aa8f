//! Mentions: webhook events about messages that name users, one for each.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    ids::UserId,
    limits::MENTION_DATA_BYTES_MAX,
    protocol::json,
    storage::{changed::without_data, entry::fields_of},
};

/// The start of a stored mention.
const MENTION_TAG: &str = r#"{"type":"mention","to":"#;

/// Returns a mention as it is stored: the message's text, with the user whom it names. Long content is left out.
pub fn mention_line(to: &UserId, message: &str) -> String {
    let data = json::data_of(message);
    let is_long = data.is_some_and(|data| data.get().len() > MENTION_DATA_BYTES_MAX);
    let shortened = is_long.then(|| without_data(message));
    let fields = fields_of(shortened.as_deref().unwrap_or(message));
    // Serializing a string cannot fail.
    let to = serde_json::to_string(to).unwrap_or_default();
    format!("{MENTION_TAG}{to},{fields}")
}

/// Returns the user whom a stored mention names, as JSON, and the fields of the message; `None` if the line is not
/// a mention.
pub(super) fn read_mention(line: &str) -> Option<(&str, &str)> {
    #[derive(Deserialize)]
    struct OnlyTo<'a> {
        #[serde(borrow)]
        to: &'a RawValue,
    }
    let rest = line.strip_prefix(MENTION_TAG)?;
    let OnlyTo { to } = serde_json::from_str(line).ok()?;
    let fields = rest.strip_prefix(to.get())?.strip_prefix(',')?;
    Some((to.get(), fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_has_the_message_without_long_content() {
        let to = UserId::parse("b\"b").unwrap();
        let message = |bytes: usize| {
            let text = "x".repeat(bytes.saturating_sub(2));
            format!(r#"{{"type":"message","offset":4,"user":"ann","data":"{text}"}}"#)
        };
        let whole = message(MENTION_DATA_BYTES_MAX);
        let line = mention_line(&to, &whole);
        let expected = (r#""b\"b""#, fields_of(&whole));
        assert_eq!(read_mention(&line), Some(expected));
        let line = mention_line(&to, &message(MENTION_DATA_BYTES_MAX + 1));
        let expected = (r#""b\"b""#, r#""offset":4,"user":"ann"}"#);
        assert_eq!(read_mention(&line), Some(expected));
        assert_eq!(read_mention(&whole), None);
    }
}
