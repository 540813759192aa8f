//! Webhook events as stored rows, and deliveries built from them.

use std::{collections::BTreeSet, rc::Rc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{EventKind, dead_without_content, mention::read_mention};
use crate::{
    ids::{Epoch, Offset, RoomName, Timestamp, UserId},
    limits::{DELIVERY_BYTES_MAX, DELIVERY_EVENTS_MAX},
    storage::entry::{fields_of, is_change},
};

/// Events that were stored together, one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The `seq` of the first event. The room's first event has 1.
    pub first: u64,
    /// The number of events, with those that were lost; 1 or more.
    pub count: u64,
    /// The time at which they were stored.
    pub time: Timestamp,
    /// The bytes of all earlier rows.
    pub bytes_before: u64,
    /// The events. The line of a lost event is empty.
    pub lines: Lines,
}

/// The lines of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Events, without their ids.
    Events(Rc<str>),
    /// Messages, changes of messages, and mentions.
    Messages {
        /// The epoch of their offsets, which may have ended since.
        epoch: Epoch,
        /// Their pushes. If there are only messages, the same text as in the table of messages.
        pushes: Rc<str>,
    },
}

impl Lines {
    /// Replaces the text.
    pub fn with_text(self, text: Rc<str>) -> Self {
        match self {
            Self::Events(_) => Self::Events(text),
            Self::Messages { epoch, .. } => Self::Messages {
                epoch,
                pushes: text,
            },
        }
    }

    /// Returns the text.
    pub fn text(&self) -> &Rc<str> {
        match self {
            Self::Events(text) | Self::Messages { pushes: text, .. } => text,
        }
    }
}

impl EventRow {
    /// Returns the `seq` of the last event.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// Returns the bytes of the events.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.lines.text().len()).unwrap_or_default()
    }

    /// Returns the bytes up to and including this row.
    pub fn bytes_after(&self) -> u64 {
        self.bytes_before.saturating_add(self.bytes())
    }

    /// Returns the events with a `seq` from `start` on. `source` is the prefix of their ids.
    pub fn events(&self, source: &str, start: u64) -> impl Iterator<Item = OutgoingEvent> {
        let lines = (self.first..).zip(self.lines.text().split('\n'));
        let present = lines.filter(move |(seq, line)| *seq >= start && !line.is_empty());
        present.map(|(seq, line)| self.event(source, seq, line))
    }

    fn event(&self, source: &str, seq: u64, line: &str) -> OutgoingEvent {
        let Fields { time, user } = serde_json::from_str(line).unwrap_or_default();
        let head = format!(r#"{{"id":"{source}-{seq}","seq":{seq}"#);
        let json = match &self.lines {
            Lines::Events(_) => {
                let fields = line.strip_prefix('{').unwrap_or("}");
                format!("{head},{fields}")
            }
            Lines::Messages { epoch, .. } => {
                let epoch = epoch.as_str();
                let time = time.unwrap_or(self.time).0;
                let tail = format!(r#""time":{time},"epoch":"{epoch}""#);
                if let Some((to, fields)) = read_mention(line) {
                    let kind = EventKind::MemberMentioned.name();
                    format!(r#"{head},"type":"{kind}",{tail},"user":{to},"message":{{{fields}}}"#)
                } else {
                    let fields = fields_of(line);
                    let (kind, name) = match is_change(line) {
                        true => (EventKind::MessageChanged, "change"),
                        false => (EventKind::MessagePublished, "message"),
                    };
                    let kind = kind.name();
                    format!(r#"{head},"type":"{kind}",{tail},"{name}":{{{fields}}}"#)
                }
            }
        };
        OutgoingEvent {
            seq,
            time: self.time,
            user,
            bytes: u64::try_from(line.len()).unwrap_or_default(),
            json,
        }
    }
}

/// The fields of a line that Snug reads again.
#[derive(Default, Deserialize)]
struct Fields {
    time: Option<Timestamp>,
    user: Option<UserId>,
}

/// An event of a member or of the room, as stored.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// The event's kind.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The time of the event.
    pub time: Timestamp,
    /// The user who joined or left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a UserId>,
    /// The public profile of a user who joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
}

impl Event<'_> {
    /// Returns the event as a line of JSON.
    pub fn to_line(&self) -> String {
        // Cannot fail to serialize: fields are strings, and raw values are JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One event, as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingEvent {
    /// The event's number in the room.
    pub seq: u64,
    /// The time at which it was stored.
    pub time: Timestamp,
    /// The user whose event it is: the author of a message, or the member who joined or left.
    pub user: Option<UserId>,
    /// The bytes that it took in the queue.
    pub bytes: u64,
    /// The event as a JSON object.
    pub json: String,
}

impl OutgoingEvent {
    /// Takes the content of a deleted message out, if the event is about one of these.
    pub(crate) fn forget_contents_of(&mut self, deleted: &BTreeSet<Offset>, epoch: &Epoch) {
        if let Some(json) = dead_without_content(&self.json, deleted, epoch) {
            self.json = json;
        }
    }
}

/// A webhook request with the next events, at most [`DELIVERY_EVENTS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    source: Rc<str>,
    after: u64,
    up_to: u64,
    /// The `seq` of the last event, or of a lost one that follows it.
    last: u64,
    events: Vec<OutgoingEvent>,
    bytes: usize,
}

impl Delivery {
    /// Creates an empty delivery for events with a `seq` above `after`. `source` is the prefix of
    /// the ids of the room's events.
    pub fn new(source: Rc<str>, after: u64) -> Self {
        Self {
            source,
            after,
            up_to: u64::MAX,
            last: after,
            events: Vec::new(),
            bytes: 0,
        }
    }

    /// Limits the delivery to events up to `last`.
    pub fn up_to(self, last: u64) -> Self {
        Self {
            up_to: last,
            ..self
        }
    }

    /// Returns the `seq` to read from: the row that contains it, and later rows.
    pub fn start(&self) -> u64 {
        self.after.saturating_add(1)
    }

    /// Adds the events of the next row. Returns true if the delivery can take more.
    pub fn take(&mut self, row: &EventRow) -> bool {
        let source = self.source.clone();
        for event in row.events(&source, self.start()) {
            if event.seq > self.up_to {
                return false;
            }
            self.bytes = self.bytes.saturating_add(event.json.len());
            let is_full = self.events.len() >= DELIVERY_EVENTS_MAX
                || self.bytes > DELIVERY_BYTES_MAX && !self.events.is_empty();
            if is_full {
                return false;
            }
            self.last = event.seq;
            self.events.push(event);
        }
        self.last = self.last.max(row.last().min(self.up_to));
        row.last() < self.up_to
    }

    /// Takes the contents of deleted messages out of the events.
    pub(crate) fn forget_contents_of(&mut self, deleted: &BTreeSet<Offset>, epoch: &Epoch) {
        for event in &mut self.events {
            event.forget_contents_of(deleted, epoch);
        }
    }

    /// Returns the events.
    pub fn events(&self) -> &[OutgoingEvent] {
        &self.events
    }

    /// Returns the `seq` of the first and the last event; `None` if there are no events.
    pub fn range(&self) -> Option<(u64, u64)> {
        Some((self.events.first()?.seq, self.events.last()?.seq))
    }

    /// Returns the `seq` up to which nothing waits once the delivery is accepted.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns the request's id, which is the same for every retry of the same events.
    pub fn id(&self) -> String {
        let (first, last) = self.range().unwrap_or_default();
        format!("{}-{first}-{last}", self.source)
    }

    /// Returns the request's body; `timestamp` is in ISO 8601.
    pub fn body(&self, room: &RoomName, timestamp: &str) -> String {
        let events: Vec<_> = self
            .events
            .iter()
            .map(|event| event.json.as_str())
            .collect();
        format!(
            r#"{{"type":"room.events","timestamp":"{timestamp}","data":{{"room":"{}","events":[{}]}}}}"#,
            room.as_str(),
            events.join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(first: u64, lines: Lines) -> EventRow {
        EventRow {
            first,
            count: lines.text().split('\n').count() as u64,
            time: Timestamp(7),
            bytes_before: 0,
            lines,
        }
    }

    fn ticks(first: u64, count: usize) -> EventRow {
        let lines = vec![r#"{"type":"room.vacated","time":7}"#; count];
        row(first, Lines::Events(lines.join("\n").into()))
    }

    fn taken(delivery: &Delivery) -> Vec<u64> {
        delivery.events().iter().map(|event| event.seq).collect()
    }

    #[test]
    fn builds_events_with_ids_from_rows() {
        let ann = UserId::parse("安\"n").unwrap();
        let info = RawValue::from_string(r#"{"a":1}"#.into()).unwrap();
        let joined = Event {
            kind: EventKind::MemberJoined,
            time: Timestamp(5),
            user: Some(&ann),
            info: Some(&info),
        };
        let message = r#"{"type":"message","offset":1,"time":6,"user":"ann","data":{"time":9}}"#;
        let mut delivery = Delivery::new("abc".into(), 4);
        assert!(delivery.take(&row(5, Lines::Events(joined.to_line().into()))));
        let messages = Lines::Messages {
            epoch: Epoch::new("e1"),
            pushes: message.into(),
        };
        assert!(delivery.take(&row(6, messages)));
        let room = RoomName::parse("lobby").unwrap();
        let body: Value = serde_json::from_str(&delivery.body(&room, "T")).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "room.events",
                "timestamp": "T",
                "data": {
                    "room": "lobby",
                    "events": [
                        {
                            "id": "abc-5",
                            "seq": 5,
                            "type": "member.joined",
                            "time": 5,
                            "user": "安\"n",
                            "info": { "a": 1 },
                        },
                        {
                            "id": "abc-6",
                            "seq": 6,
                            "type": "message.published",
                            "time": 6,
                            "epoch": "e1",
                            "message": {
                                "offset": 1,
                                "time": 6,
                                "user": "ann",
                                "data": { "time": 9 },
                            },
                        },
                    ],
                },
            })
        );
        assert_eq!(delivery.id(), "abc-5-6");
    }

    #[test]
    fn a_delivery_can_start_within_a_row_and_ends_at_its_limit_of_events() {
        let mut delivery = Delivery::new("".into(), 2);
        assert_eq!(delivery.start(), 3);
        assert!(delivery.take(&ticks(1, 4)));
        assert_eq!(taken(&delivery), [3, 4]);
        assert!(delivery.take(&ticks(5, 98)));
        assert_eq!(delivery.range(), Some((3, 102)));
        assert!(!delivery.take(&ticks(103, 1)));
        let mut delivery = Delivery::new("".into(), 0);
        assert!(!delivery.take(&ticks(1, 101)));
        assert_eq!(delivery.range(), Some((1, 100)));
    }

    #[test]
    fn a_delivery_can_be_limited_to_earlier_events() {
        let mut delivery = Delivery::new("".into(), 1).up_to(3);
        assert!(delivery.take(&ticks(1, 2)));
        assert!(!delivery.take(&ticks(3, 2)));
        assert_eq!(delivery.range(), Some((2, 3)));
        assert_eq!(delivery.last(), 3);
    }

    #[test]
    fn a_delivery_passes_over_lost_events() {
        let tick = r#"{"type":"room.vacated","time":7}"#;
        let lost = row(1, Lines::Events(format!("\n{tick}\n\n{tick}\n").into()));
        assert_eq!(lost.count, 5);
        let mut delivery = Delivery::new("".into(), 0);
        assert!(delivery.take(&lost));
        assert_eq!((taken(&delivery), delivery.last()), (vec![2, 4], 5));
        let mut delivery = Delivery::new("".into(), 2).up_to(5);
        assert!(!delivery.take(&lost));
        assert_eq!((taken(&delivery), delivery.last()), (vec![4], 5));
        let mut delivery = Delivery::new("".into(), 4);
        assert!(delivery.take(&lost));
        assert_eq!((delivery.range(), delivery.last()), (None, 5));
    }

    #[test]
    fn a_delivery_ends_at_its_byte_limit_but_has_at_least_one_event() {
        let long = |bytes: usize| {
            let filling = "x".repeat(bytes);
            row(1, Lines::Events(format!(r#"{{"x":"{filling}"}}"#).into()))
        };
        let mut delivery = Delivery::new("".into(), 0);
        assert!(delivery.take(&long(DELIVERY_BYTES_MAX)));
        assert_eq!(delivery.events().len(), 1);
        assert!(!delivery.take(&EventRow {
            first: 2,
            ..long(1)
        }));
        assert_eq!(delivery.events().len(), 1);
        let around = DELIVERY_BYTES_MAX / 2;
        let mut delivery = Delivery::new("".into(), 0);
        assert!(delivery.take(&long(around - 40)));
        assert!(delivery.take(&EventRow {
            first: 2,
            ..long(around - 40)
        }));
        assert!(!delivery.take(&EventRow {
            first: 3,
            ..long(100)
        }));
        assert_eq!(delivery.range(), Some((1, 2)));
    }
}
