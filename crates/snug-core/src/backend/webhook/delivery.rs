//! Events on their way to the back end: rows as storage keeps them, and what is sent of them.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::EventKind;
use crate::{
    ids::{Epoch, RoomName, Timestamp, UserId},
    limits::{DELIVERY_BYTES_MAX, DELIVERY_EVENTS_MAX},
};

/// What every message's line starts with: see [`crate::protocol::push::Push`].
const MESSAGE_TAG: &str = r#"{"type":"message","#;

/// Events that were written together, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The first one's place in the room's events: 1 for the first, then rising by one.
    pub first: u64,
    /// How many there are; 1 or more.
    pub count: u64,
    /// When they were written.
    pub time: Timestamp,
    /// The bytes of all rows before it.
    pub bytes_before: u64,
    /// What its lines are.
    pub lines: Lines,
}

/// The lines of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Events, without their ids.
    Events(Rc<str>),
    /// Messages.
    Messages {
        /// What their offsets count in, which may have ended since.
        epoch: Epoch,
        /// Their pushes, as members got them: the text that is stored and sent anyway.
        pushes: Rc<str>,
    },
}

impl Lines {
    /// The text.
    pub fn text(&self) -> &Rc<str> {
        match self {
            Self::Events(text) | Self::Messages { pushes: text, .. } => text,
        }
    }
}

impl EventRow {
    /// The last one's place.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// The bytes of all rows so far.
    pub fn bytes_after(&self) -> u64 {
        let bytes = u64::try_from(self.lines.text().len()).unwrap_or_default();
        self.bytes_before.saturating_add(bytes)
    }
}

/// An event of members or of the room, as it is written.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a UserId>,
    /// The public profile of who has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
}

impl Event<'_> {
    /// The event as a line of JSON.
    pub fn to_line(&self) -> String {
        // Nothing in here can fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One event, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingEvent {
    /// Its place.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// The object.
    pub json: String,
}

/// The next events to be sent, as they are read: at most [`DELIVERY_EVENTS_MAX`] of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    source: Rc<str>,
    after: u64,
    up_to: u64,
    events: Vec<OutgoingEvent>,
    bytes: usize,
}

impl Delivery {
    /// An empty one, to be filled with what comes after that event. `source` is what the ids of
    /// the room's events begin with.
    pub fn new(source: Rc<str>, after: u64) -> Self {
        Self {
            source,
            after,
            up_to: u64::MAX,
            events: Vec::new(),
            bytes: 0,
        }
    }

    /// The same, with no event after that one.
    pub fn up_to(self, last: u64) -> Self {
        Self {
            up_to: last,
            ..self
        }
    }

    /// The place to read from: the row that holds it, and those after it.
    pub fn start(&self) -> u64 {
        self.after.saturating_add(1)
    }

    /// Takes what belongs to it from the next row. Whether to go on with another one.
    pub fn take(&mut self, row: &EventRow) -> bool {
        let mut seq = row.first;
        for line in row.lines.text().split('\n') {
            if seq > self.up_to {
                return false;
            }
            if seq > self.after {
                let json = self.event(seq, row, line);
                self.bytes = self.bytes.saturating_add(json.len());
                let is_full = self.events.len() >= DELIVERY_EVENTS_MAX
                    || self.bytes > DELIVERY_BYTES_MAX && !self.events.is_empty();
                if is_full {
                    return false;
                }
                let time = row.time;
                self.events.push(OutgoingEvent { seq, time, json });
            }
            seq = seq.saturating_add(1);
        }
        true
    }

    /// A line as the event that it is.
    fn event(&self, seq: u64, row: &EventRow, line: &str) -> String {
        #[derive(Deserialize)]
        struct Timed {
            time: u64,
        }
        let source = &self.source;
        let head = format!(r#"{{"id":"{source}-{seq}","seq":{seq}"#);
        match &row.lines {
            Lines::Events(_) => {
                let fields = line.strip_prefix('{').unwrap_or("}");
                format!("{head},{fields}")
            }
            Lines::Messages { epoch, .. } => {
                let epoch = epoch.as_str();
                let time = serde_json::from_str(line).map_or(row.time.0, |Timed { time }| time);
                let fields = line.strip_prefix(MESSAGE_TAG).unwrap_or("}");
                format!(
                    r#"{head},"type":"message.published","time":{time},"epoch":"{epoch}","message":{{{fields}}}"#
                )
            }
        }
    }

    /// The events.
    pub fn events(&self) -> &[OutgoingEvent] {
        &self.events
    }

    /// The first one's place, and the last one's; `None` where there are none.
    pub fn range(&self) -> Option<(u64, u64)> {
        Some((self.events.first()?.seq, self.events.last()?.seq))
    }

    /// The request's id: the same whenever the same events are sent.
    pub fn id(&self) -> String {
        let (first, last) = self.range().unwrap_or_default();
        format!("{}-{first}-{last}", self.source)
    }

    /// The request's body, at a time that is written as in ISO 8601.
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
    fn events_are_sent_with_ids_and_messages_within_one() {
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
    fn a_delivery_begins_within_a_row_and_ends_at_its_most_events() {
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
    fn it_may_end_before_what_there_is() {
        let mut delivery = Delivery::new("".into(), 1).up_to(3);
        assert!(delivery.take(&ticks(1, 3)));
        assert!(!delivery.take(&ticks(4, 1)));
        assert_eq!(delivery.range(), Some((2, 3)));
    }

    #[test]
    fn it_ends_at_its_most_bytes_and_holds_one_event_at_least() {
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
