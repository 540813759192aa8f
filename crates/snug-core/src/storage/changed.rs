//! Changed messages: what has become of each since it was published.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write, rc::Rc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{EntryFields, StoredEntry};
use crate::{
    ids::{Offset, Timestamp, UserId},
    names::named_enum,
    protocol::{json, push::ReplyCount, reaction::Summary},
};

named_enum! {
    /// A part of a message that changes after it was published, each without regard to the others.
    pub enum Aspect {
        /// The content: edited, appended to or deleted.
        Content = "content",
        /// The reactions to it.
        Reactions = "reactions",
        /// The number of replies to it.
        Replies = "replies",
    }
}

/// One aspect of a message, as it is now.
///
/// A room stores it apart from the message's row, and takes changed content out of the row: so each change
/// replaces the earlier content, wherever in the history the message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedMessage {
    /// The message's offset.
    pub message: Offset,
    /// The aspect.
    pub aspect: Aspect,
    /// The offset of its last change.
    pub last: Offset,
    /// The last change, as a client that was away receives it. After an edit or an append, it has the whole content;
    /// after a deletion, it has no content. See [`crate::protocol::push::Change`].
    pub change: Rc<str>,
}

/// The aspects of a message that have changed since it was published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageChanges {
    content: Option<ChangedMessage>,
    reactions: Option<ChangedMessage>,
    replies: Option<ChangedMessage>,
}

/// The fields of a change that Snug reads again.
#[derive(Debug, Deserialize)]
pub(crate) struct LastChange<'a> {
    pub(crate) time: Timestamp,
    pub(crate) version: u64,
    /// The whole content, which may be `null`; `None` if the message is deleted.
    #[serde(borrow, default, deserialize_with = "json::some_raw")]
    pub(crate) data: Option<&'a RawValue>,
}

/// A change to store, along with the entry of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeWrite {
    /// The aspect as it is now.
    pub now: ChangedMessage,
    /// The rest of the write.
    pub along: ChangedRows,
}

/// The rest of the write of a changed aspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedRows {
    /// The message loses the replaced content in its row.
    Content {
        /// The message's text in its row until now.
        row_before: Rc<str>,
        /// The text that replaces it there.
        row: Rc<str>,
        /// True if the message is deleted.
        is_deletion: bool,
    },
    /// Users have put reactions on the message, or taken them back.
    Reactions(Vec<UserReaction>),
    /// The offsets of new replies to the message.
    Replies(Vec<Offset>),
}

/// A reaction that a user has put on a message, or has taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserReaction {
    /// The user.
    pub user: UserId,
    /// The name.
    pub name: String,
    /// True if it is on the message now.
    pub is_on: bool,
}

impl ChangeWrite {
    /// Returns true if the message is deleted.
    pub fn is_deletion(&self) -> bool {
        matches!(
            self.along,
            ChangedRows::Content {
                is_deletion: true,
                ..
            }
        )
    }
}

/// Returns the messages that changes delete.
pub fn deleted_messages(changes: &[ChangeWrite]) -> BTreeSet<Offset> {
    let deletions = changes.iter().filter(|change| change.is_deletion());
    deletions.map(|deletion| deletion.now.message).collect()
}

impl ChangedMessage {
    /// Returns what Snug reads of the last change of the content; `None` if the text cannot be read.
    pub(crate) fn read(&self) -> Option<LastChange<'_>> {
        serde_json::from_str(&self.change).ok()
    }
}

impl MessageChanges {
    /// Adds an aspect.
    pub fn set(&mut self, changed: ChangedMessage) {
        match changed.aspect {
            Aspect::Content => self.content = Some(changed),
            Aspect::Reactions => self.reactions = Some(changed),
            Aspect::Replies => self.replies = Some(changed),
        }
    }

    /// Returns the content as it is now, if it has been changed.
    pub fn content(&self) -> Option<&ChangedMessage> {
        self.content.as_ref()
    }

    /// Returns the reactions, if there have been any.
    pub fn reactions(&self) -> Option<&ChangedMessage> {
        self.reactions.as_ref()
    }

    /// Returns the number of replies, if there have been any.
    pub(crate) fn replies(&self) -> Option<ReplyCount> {
        serde_json::from_str(&self.replies.as_ref()?.change).ok()
    }

    /// Returns true if the message is deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        let content = self.content.as_ref().and_then(ChangedMessage::read);
        content.is_some_and(|change| change.data.is_none())
    }

    /// Returns the message as it is now; `row` is its text in its row.
    pub fn apply_to(&self, row: &StoredEntry) -> StoredEntry {
        let change = self.content.as_ref().and_then(ChangedMessage::read);
        let mut text = match &change {
            Some(_) => without_data(row.push()),
            None => row.push().to_string(),
        };
        text.pop();
        // Writing to a string cannot fail.
        if let Some(change) = &change {
            let _written = match change.data {
                Some(data) => write!(text, r#","data":{data}"#),
                None => write!(text, r#","deleted":true"#),
            };
            let (version, time) = (change.version, change.time.0);
            let _written = write!(text, r#","version":{version},"changed":{time}"#);
        }
        if let Some(summary) = self.reactions.as_ref().and_then(summary_of) {
            let _written = write!(text, r#","reactions":{summary}"#);
        }
        if let Some(count) = self.replies().filter(|count| count.replies > 0) {
            let ReplyCount {
                replies,
                last_reply,
            } = count;
            let _written = write!(
                text,
                r#","replies":{replies},"last_reply":{}"#,
                last_reply.0
            );
        }
        text.push('}');
        StoredEntry::new(text.into())
    }
}

impl FromIterator<ChangedMessage> for MessageChanges {
    fn from_iter<I: IntoIterator<Item = ChangedMessage>>(stored: I) -> Self {
        let mut changes = Self::default();
        stored.into_iter().for_each(|one| changes.set(one));
        changes
    }
}

/// Returns the reactions of a [`crate::protocol::push::Reactions`]; `None` if there are none any more.
fn summary_of(reactions: &ChangedMessage) -> Option<&str> {
    #[derive(Deserialize)]
    struct OnlySummary<'a> {
        #[serde(borrow)]
        summary: &'a RawValue,
    }
    let only: OnlySummary<'_> = serde_json::from_str(&reactions.change).ok()?;
    Some(only.summary.get()).filter(|summary| *summary != "{}")
}

impl ChangedMessage {
    /// Returns the reactions to the message; none if the text cannot be read.
    pub(crate) fn summary(&self) -> Summary {
        summary_of(self)
            .and_then(|summary| serde_json::from_str(summary).ok())
            .unwrap_or_default()
    }
}

/// Returns a message's text without its content, which is its last field.
pub(crate) fn without_data(message: &str) -> String {
    let Some(data) = json::data_of(message) else {
        return message.to_owned();
    };
    let end = format!(r#","data":{data}}}"#);
    let head = message.strip_suffix(end.as_str());
    head.map_or_else(|| message.to_owned(), |head| format!("{head}}}"))
}

/// Returns the text of a deleted message in its row: only its place is left, its author and its thread.
pub(crate) fn emptied(fields: &EntryFields) -> Option<String> {
    let (offset, time, user) = (fields.offset.0, fields.time?.0, fields.user.as_ref()?);
    // Serializing a string cannot fail.
    let user = serde_json::to_string(user).unwrap_or_default();
    let re = fields.re.map(|re| format!(r#","re":{}"#, re.0));
    let re = re.unwrap_or_default();
    Some(format!(
        r#"{{"type":"message","offset":{offset},"time":{time},"user":{user}{re}}}"#
    ))
}

/// A content that text can be appended to: a string, or an object with a string `text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appendable {
    data: String,
    /// The index at which the next text is inserted: that of the closing quote.
    end: usize,
}

impl Appendable {
    /// Reads a content; `None` if no text can be appended to it.
    pub(crate) fn read(data: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct OnlyText<'a> {
            #[serde(borrow)]
            text: &'a RawValue,
        }
        let whole = data.get();
        let text = match whole.as_bytes().first()? {
            b'"' => whole,
            b'{' => serde_json::from_str::<OnlyText<'_>>(whole).ok()?.text.get(),
            _ => return None,
        };
        if !text.starts_with('"') {
            return None;
        }
        // The text is a part of the content.
        let start = text.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        let end = start.checked_add(text.len())?.checked_sub(1)?;
        Some(Self {
            data: whole.to_owned(),
            end,
        })
    }

    /// Returns the bytes of the content after an append.
    pub(crate) fn bytes_with(&self, text: &str) -> usize {
        self.data.len().saturating_add(escaped(text).len())
    }

    /// Appends text.
    pub(crate) fn append(&mut self, text: &str) {
        let escaped = escaped(text);
        self.data.insert_str(self.end, &escaped);
        self.end = self.end.saturating_add(escaped.len());
    }

    /// Returns the content.
    pub(crate) fn into_data(self) -> Box<RawValue> {
        RawValue::from_string(self.data).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

/// Returns text as it stands in a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    // Serializing a string cannot fail.
    let json = serde_json::to_string(text).unwrap_or_default();
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner == text => Cow::Borrowed(text),
        inner => Cow::Owned(inner.unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }

    fn appended(data: &str, text: &str) -> Option<String> {
        let mut content = Appendable::read(&raw(data))?;
        let bytes = content.bytes_with(text);
        content.append(text);
        let data = content.into_data();
        assert_eq!(data.get().len(), bytes);
        Some(data.get().to_owned())
    }

    #[test]
    fn text_is_appended_to_a_string_or_to_the_text_of_an_object() {
        for (data, text, expected) in [
            (r#""a""#, "b", Some(r#""ab""#)),
            (r#""""#, "\"\n", Some(r#""\"\n""#)),
            (
                r#"{"text":"a","by":1}"#,
                "ü",
                Some(r#"{"text":"aü","by":1}"#),
            ),
            (
                r#"{"x": {"text":"n"}, "text" : "a\\"}"#,
                "b",
                Some(r#"{"x": {"text":"n"}, "text" : "a\\b"}"#),
            ),
            ("1", "b", None),
            ("[\"a\"]", "b", None),
            (r#"{"text":1}"#, "b", None),
            (r#"{"tex":"a"}"#, "b", None),
            (r#"{"text":"a","text":"b"}"#, "b", None),
            ("null", "b", None),
        ] {
            assert_eq!(appended(data, text).as_deref(), expected, "{data}");
        }
    }

    #[test]
    fn a_message_is_shown_as_it_is_now() {
        let row =
            r#"{"type":"message","offset":4,"time":1,"user":"ann","event":"e","data":{"a": 1}}"#;
        let bare = without_data(row);
        assert_eq!(
            bare,
            r#"{"type":"message","offset":4,"time":1,"user":"ann","event":"e"}"#
        );
        assert_eq!(without_data(&bare), bare);
        let changed = |change: &str| {
            let changed = ChangedMessage {
                message: Offset(4),
                aspect: Aspect::Content,
                last: Offset(9),
                change: change.into(),
            };
            MessageChanges::from_iter([changed])
        };
        let edit = r#"{"type":"change","offset":9,"time":5,"of":4,"version":2,"action":"edit","user":"ann","data":null}"#;
        let now = changed(edit).apply_to(&StoredEntry::new(row.into()));
        let edited = r#"{"type":"message","offset":4,"time":1,"user":"ann","event":"e","data":null,"version":2,"changed":5}"#;
        assert_eq!(&**now.push(), edited);
        let with_reactions = |summary: &str| {
            let mut changes = changed(edit);
            changes.set(ChangedMessage {
                message: Offset(4),
                aspect: Aspect::Reactions,
                last: Offset(10),
                change: format!(r#"{{"type":"reactions","offset":10,"of":4,"summary":{summary}}}"#)
                    .into(),
            });
            changes
                .apply_to(&StoredEntry::new(row.into()))
                .push()
                .to_string()
        };
        let summary = r#"{"a":{"count":1,"users":["ann"]}}"#;
        let expected = edited.replace(
            r#""changed":5}"#,
            &format!(r#""changed":5,"reactions":{summary}}}"#),
        );
        assert_eq!(with_reactions(summary), expected);
        assert_eq!(with_reactions("{}"), edited);
        let fields = StoredEntry::new(row.into()).read().unwrap();
        let emptied = emptied(&fields).unwrap();
        let delete = r#"{"type":"change","offset":9,"time":5,"of":4,"version":3,"action":"delete","user":"ann"}"#;
        let now = changed(delete).apply_to(&StoredEntry::new(emptied.into()));
        assert_eq!(
            &**now.push(),
            r#"{"type":"message","offset":4,"time":1,"user":"ann","deleted":true,"version":3,"changed":5}"#
        );
    }
}
