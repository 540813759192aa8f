//! Events about deleted messages, without their contents.

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ids::{Epoch, Offset},
    protocol::change::ActionKind,
    storage::entry::is_change,
};

/// The fields that an entry keeps when its message is deleted, as they were written.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    #[serde(borrow, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    to: Option<&'a RawValue>,
    offset: &'a RawValue,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    time: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    of: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    version: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    action: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    user: Option<&'a RawValue>,
    #[serde(default)]
    deleted: bool,
}

/// The fields of an entry that say which message it is about.
#[derive(Deserialize)]
struct About<'a> {
    offset: Offset,
    of: Option<Offset>,
    #[serde(borrow)]
    action: Option<&'a str>,
}

/// An event about an entry, as it is sent.
#[derive(Deserialize, Serialize)]
struct SentEvent<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    seq: &'a RawValue,
    #[serde(rename = "type")]
    kind: &'a RawValue,
    time: &'a RawValue,
    epoch: &'a str,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    user: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    message: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    change: Option<&'a RawValue>,
}

/// Returns the lines of a row of messages without the contents of those that are deleted; `None` if no line is about
/// one of these.
pub fn without_contents(lines: &str, deleted: &BTreeSet<Offset>) -> Option<String> {
    let mut is_changed = false;
    let stripped: Vec<Cow<'_, str>> = lines
        .split('\n')
        .map(
            |line| match concerns(line, is_change(line), deleted).then(|| emptied(line)) {
                Some(Some(stripped)) => {
                    is_changed = true;
                    Cow::Owned(stripped)
                }
                _ => Cow::Borrowed(line),
            },
        )
        .collect();
    is_changed.then(|| stripped.join("\n"))
}

/// Returns an event, as it is sent, without the content of a deleted message; `None` if it is not about one of these.
pub fn dead_without_content(
    event: &str,
    deleted: &BTreeSet<Offset>,
    epoch: &Epoch,
) -> Option<String> {
    let event: SentEvent<'_> = serde_json::from_str(event).ok()?;
    let entry = event.message.or(event.change)?.get();
    let is_concerned = concerns(entry, event.change.is_some(), deleted);
    if event.epoch != epoch.as_str() || !is_concerned {
        return None;
    }
    let stripped = RawValue::from_string(emptied(entry)?).ok()?;
    let event = SentEvent {
        message: event.message.map(|_| &*stripped),
        change: event.change.map(|_| &*stripped),
        ..event
    };
    serde_json::to_string(&event).ok()
}

/// Returns true if an entry is one of the messages, or a change of one. The deletion itself is not: it has no content,
/// and keeps its reason.
fn concerns(entry: &str, is_change: bool, deleted: &BTreeSet<Offset>) -> bool {
    let about: Option<About<'_>> = serde_json::from_str(entry).ok();
    let message = about.and_then(|about| match is_change {
        true if about.action == Some(ActionKind::Delete.name()) => None,
        true => about.of,
        false => Some(about.offset),
    });
    message.is_some_and(|message| deleted.contains(&message))
}

fn emptied(entry: &str) -> Option<String> {
    let kept: Kept<'_> = serde_json::from_str(entry).ok()?;
    let deleted = true;
    serde_json::to_string(&Kept { deleted, ..kept }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_the_contents_of_the_messages_alone() {
        let lines = [
            r#"{"type":"message","offset":4,"time":1,"user":"ann","data":{"offset":5}}"#,
            r#"{"type":"message","offset":5,"time":1,"user":"ann","info":{"name":"A"},"data":"secret"}"#,
            r#"{"type":"change","offset":6,"time":2,"of":5,"version":2,"action":"edit","user":"ann","data":"secret"}"#,
            r#"{"type":"mention","to":"bob","offset":5,"time":1,"user":"ann","data":"secret"}"#,
            "",
            r#"{"type":"change","offset":7,"time":2,"of":5,"version":3,"action":"delete","user":"ann","reason":"spam"}"#,
        ];
        let without = |of: &[u64]| {
            let deleted = of.iter().copied().map(Offset).collect();
            without_contents(&lines.join("\n"), &deleted)
        };
        let expected = [
            lines[0],
            r#"{"type":"message","offset":5,"time":1,"user":"ann","deleted":true}"#,
            r#"{"type":"change","offset":6,"time":2,"of":5,"version":2,"action":"edit","user":"ann","deleted":true}"#,
            r#"{"type":"mention","to":"bob","offset":5,"time":1,"user":"ann","deleted":true}"#,
            "",
            lines[5],
        ];
        assert_eq!(without(&[5]), Some(expected.join("\n")));
        assert_eq!(without(&[6, 7]), None);
        let both = without(&[4, 5]).unwrap();
        assert_eq!(both.matches(r#""deleted":true"#).count(), 4);
    }

    #[test]
    fn a_dead_event_loses_its_content_if_it_is_of_the_epoch() {
        let event = r#"{"id":"a-1","seq":1,"type":"message.published","time":1,"epoch":"e1","message":{"offset":5,"time":1,"user":"ann","data":"secret"}}"#;
        let deleted = BTreeSet::from([Offset(5), Offset(7)]);
        let of = |message, epoch| {
            let deleted = BTreeSet::from([Offset(message)]);
            dead_without_content(event, &deleted, &Epoch::new(epoch))
        };
        let stripped = of(5, "e1").unwrap();
        assert!(!stripped.contains("secret"), "{stripped}");
        assert_eq!((of(4, "e1"), of(5, "e2")), (None, None));
        let change = event.replace(r#""message":{"offset":5"#, r#""change":{"offset":9,"of":5"#);
        let mention = event.replace(r#""message":{"#, r#""user":"bob","message":{"#);
        let stripped = dead_without_content(&mention, &deleted, &Epoch::new("e1")).unwrap();
        assert!(!stripped.contains("secret") && stripped.contains(r#""user":"bob","message""#));
        let stripped = dead_without_content(&change, &deleted, &Epoch::new("e1")).unwrap();
        assert!(!stripped.contains("secret") && stripped.contains(r#""deleted":true"#));
        assert_eq!(
            dead_without_content(r#"{"type":"member.left"}"#, &deleted, &Epoch::new("e1")),
            None
        );
    }
}
