//! Events about a deleted message, without its content.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ids::{Epoch, Offset},
    storage::entry::{StoredEntry, is_change},
};

/// The fields that an entry keeps when its message is deleted, as they were written.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    #[serde(borrow, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a RawValue>,
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
    message: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    change: Option<&'a RawValue>,
}

/// Returns the lines of a row of messages without the content of one that is deleted; `None` if none of them is
/// about it.
pub fn without_content(lines: &str, message: Offset) -> Option<String> {
    let mut is_changed = false;
    let stripped: Vec<String> = lines
        .split('\n')
        .map(
            |line| match concerns(line, message).then(|| emptied(line)) {
                Some(Some(stripped)) => {
                    is_changed = true;
                    stripped
                }
                _ => line.to_owned(),
            },
        )
        .collect();
    is_changed.then(|| stripped.join("\n"))
}

/// Returns an event, as it is sent, without the content of a deleted message; `None` if it is not about it.
pub fn dead_without_content(event: &str, message: Offset, epoch: &Epoch) -> Option<String> {
    let event: SentEvent<'_> = serde_json::from_str(event).ok()?;
    let entry = event.message.or(event.change)?.get();
    let read = StoredEntry::new(entry.into()).read()?;
    if event.epoch != epoch.as_str() || read.of.unwrap_or(read.offset) != message {
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

/// Returns true if a line is the message, or a change of it.
fn concerns(line: &str, message: Offset) -> bool {
    let fields = StoredEntry::new(line.into()).read();
    fields.is_some_and(|fields| match is_change(line) {
        true => fields.of == Some(message),
        false => fields.offset == message,
    })
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
    fn lines_lose_the_content_of_the_message_alone() {
        let lines = [
            r#"{"type":"message","offset":4,"time":1,"user":"ann","data":{"offset":5}}"#,
            r#"{"type":"message","offset":5,"time":1,"user":"ann","info":{"name":"A"},"data":"secret"}"#,
            r#"{"type":"change","offset":6,"time":2,"of":5,"version":2,"action":"edit","user":"ann","data":"secret"}"#,
            "",
        ];
        let stripped = without_content(&lines.join("\n"), Offset(5)).unwrap();
        let expected = [
            lines[0],
            r#"{"type":"message","offset":5,"time":1,"user":"ann","deleted":true}"#,
            r#"{"type":"change","offset":6,"time":2,"of":5,"version":2,"action":"edit","user":"ann","deleted":true}"#,
            "",
        ];
        assert_eq!(stripped, expected.join("\n"));
        assert_eq!(without_content(&lines.join("\n"), Offset(7)), None);
        assert_eq!(without_content(&lines.join("\n"), Offset(6)), None);
    }

    #[test]
    fn a_dead_event_loses_its_content_if_it_is_of_the_epoch() {
        let event = r#"{"id":"a-1","seq":1,"type":"message.published","time":1,"epoch":"e1","message":{"offset":5,"time":1,"user":"ann","data":"secret"}}"#;
        let of = |message, epoch| dead_without_content(event, Offset(message), &Epoch::new(epoch));
        let stripped = of(5, "e1").unwrap();
        assert!(!stripped.contains("secret"), "{stripped}");
        assert_eq!((of(4, "e1"), of(5, "e2")), (None, None));
        let change = event.replace(r#""message":{"offset":5"#, r#""change":{"offset":9,"of":5"#);
        let stripped = dead_without_content(&change, Offset(5), &Epoch::new("e1")).unwrap();
        assert!(!stripped.contains("secret") && stripped.contains(r#""deleted":true"#));
        assert_eq!(
            dead_without_content(r#"{"type":"member.left"}"#, Offset(5), &Epoch::new("e1")),
            None
        );
    }
}
