//! A call over a link, and its form: a line of JSON, then one line for each text.
//!
//! The texts are not a part of the JSON, because they would be escaped there and read again, and messages
//! are most of what passes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::ids::LinkId;

/// The version of the form that is written. The one before it is read as well, because the platform may
/// run two versions for a while.
const VERSION: u8 = 1;

/// A call over a link.
pub struct Call<P, E> {
    /// The object that calls.
    pub from: P,
    /// The link.
    pub link: LinkId,
    /// The content.
    pub content: Content<E>,
}

/// The content of a call.
#[derive(Clone, Debug)]
pub enum Content<E> {
    /// The next events.
    Batch(Batch<E>),
    /// The link has ended.
    End,
    /// The call cannot be read, perhaps because it is of another version.
    Unreadable,
}

/// Events that one call carries.
#[derive(Clone, Debug)]
pub struct Batch<E> {
    /// The number of the call.
    pub number: CallNumber,
    /// The events, in order.
    pub events: Vec<E>,
}

/// The number of a call among those of its sender over one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallNumber {
    /// The time in milliseconds since 1970 at which the sender has last woken.
    pub life: u64,
    /// Counts from 1 in each life.
    pub seq: u64,
}

/// The response to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The call was accepted: its events are processed.
    Accepted,
    /// The link is unknown, or the call is not the next one: the link has ended, and nothing of the call
    /// was processed.
    Unknown,
    /// The room is not in use, and the users have created too many rooms: nothing was processed, and there
    /// is no link.
    Refused,
}

/// The first line of a call.
#[derive(Serialize, Deserialize)]
struct Head<'a, P, E: Clone> {
    v: u8,
    from: P,
    link: LinkId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<CallNumber>,
    #[serde(default = "no_events")]
    events: Cow<'a, [E]>,
}

fn no_events<'a, E: Clone>() -> Cow<'a, [E]> {
    Cow::Owned(Vec::new())
}

impl<P, E> Call<P, E>
where
    P: Clone + Serialize + for<'de> Deserialize<'de>,
    E: Event + Clone,
{
    /// Returns the call as text.
    pub fn encode(&self) -> String {
        let (number, events) = match &self.content {
            Content::Batch(batch) => (Some(batch.number), batch.events.as_slice()),
            Content::End | Content::Unreadable => (None, [].as_slice()),
        };
        let head = Head {
            v: VERSION,
            from: self.from.clone(),
            link: self.link,
            number,
            events: events.into(),
        };
        // Cannot fail: keys are strings, and raw values are JSON.
        let text = serde_json::to_string(&head).unwrap_or_default();
        // A profile can have line breaks between its fields.
        let mut text = text.replace('\n', " ");
        for line in events.iter().filter_map(Event::text) {
            text.push('\n');
            text.push_str(line);
        }
        text
    }

    /// Reads a call. If it is of a version that is not known, only its sender and its link are read; `None` if
    /// it has none.
    pub fn decode(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct OnlyLink<P> {
            from: P,
            link: LinkId,
        }
        Self::decode_known(text).or_else(|| {
            let only: OnlyLink<P> = serde_json::from_str(text.lines().next()?).ok()?;
            Some(Self {
                from: only.from,
                link: only.link,
                content: Content::Unreadable,
            })
        })
    }

    fn decode_known(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let head: Head<'_, P, E> = serde_json::from_str(lines.next()?).ok()?;
        if head.v != VERSION {
            return None;
        }
        let mut events = head.events.into_owned();
        for event in &mut events {
            if event.text().is_some() {
                event.set_text(lines.next()?);
            }
        }
        let content = match head.number {
            Some(number) => Content::Batch(Batch { number, events }),
            None => Content::End,
        };
        let is_complete = lines.next().is_none();
        is_complete.then_some(Self {
            from: head.from,
            link: head.link,
            content,
        })
    }
}

impl Answer {
    /// Returns the answer as text.
    pub fn encode(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }

    /// Reads an answer; `None` if it is not one.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{ConnectionId, GatewayName},
        link::event::{ToGateway, ToRoom},
        secret::Secret,
    };

    /// Calls of every version so far. A gateway and a room may run two versions for a while.
    const CALLS: [&str; 2] = [
        concat!(
            r#"{"v":1,"from":"weur-4-1","link":"00000000000000aa","number":{"life":1800000000000,"seq":1},"events":["#,
            r#"{"join":{"member":"0000000000000007","id":1,"admission":{"user":"ann","info":{"name":"Ann"},"can":["receive"],"#,
            r#""expires":1800003600000,"issued":1800000000000,"limits":{},"options":{"lines":true,"echo":true,"presence":true,"#,
            r#""resume":{"epoch":"e","offset":4},"last":null},"origin":"https://a.example"},"has_own_token":true,"may_create":true}},"#,
            r#"{"command":{"member":"0000000000000007"}},"#,
            r#"{"refresh":{"member":"0000000000000007","admission":null}},"#,
            r#"{"leave":{"member":"0000000000000007","is_clean":true}}]}"#,
            "\n",
            r#"{"type":"ping","room":"a"}"#
        ),
        r#"{"v":1,"from":"weur-4-1","link":"00000000000000aa"}"#,
    ];

    type RoomCall = Call<GatewayName, ToRoom>;

    #[test]
    fn reads_the_calls_of_every_version_so_far() {
        let [batch, end] = CALLS.map(|text| RoomCall::decode(text).unwrap());
        assert_eq!(
            (batch.from.as_str(), batch.link),
            ("weur-4-1", LinkId(0xaa))
        );
        let Content::Batch(Batch { number, events }) = &batch.content else {
            panic!("{:?}", batch.content)
        };
        assert_eq!((number.life, number.seq), (1_800_000_000_000, 1));
        let [
            ToRoom::Join { admission, .. },
            ToRoom::Command { text, .. },
            _,
            _,
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(admission.user.as_str(), "ann");
        assert_eq!(text.0, r#"{"type":"ping","room":"a"}"#);
        assert!(events.iter().all(|event| event.member() == ConnectionId(7)));
        assert!(matches!(end.content, Content::End));
    }

    #[test]
    fn reads_what_it_writes() {
        for text in CALLS {
            let call = RoomCall::decode(text).unwrap();
            let again = RoomCall::decode(&call.encode()).unwrap();
            assert_eq!(
                format!("{:?}", again.content),
                format!("{:?}", call.content)
            );
        }
        for answer in [Answer::Accepted, Answer::Unknown, Answer::Refused] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn a_profile_may_have_line_breaks() {
        let text = CALLS[0].replace(r#"{"name":"Ann"}"#, r#"{"name": "Ann"}"#);
        let mut call = RoomCall::decode(&text).unwrap();
        let Content::Batch(Batch { events, .. }) = &mut call.content else {
            panic!("{:?}", call.content)
        };
        let Some(ToRoom::Join { admission, .. }) = events.first_mut() else {
            panic!("{events:?}")
        };
        let info = serde_json::value::RawValue::from_string("{\n\"name\":\n\"Ann\"}".into());
        admission.info = Some(info.unwrap().into());
        assert!(RoomCall::decode(&call.encode()).is_some());
    }

    #[test]
    fn rejects_what_is_not_a_call_of_a_known_version() {
        for bad in [
            "",
            "{}",
            &CALLS[0].replace(r#""v":1"#, r#""v":2"#),
            &CALLS[0].replace("leave", "dance"),
            // A text is missing, or there is one too many.
            CALLS[0].split('\n').next().unwrap(),
            &format!("{}\nmore", CALLS[0]),
        ] {
            let read = RoomCall::decode(bad);
            let is_unreadable = read.is_none_or(|call| matches!(call.content, Content::Unreadable));
            assert!(is_unreadable, "{bad}");
        }
        assert_eq!(Answer::decode("{}"), None);
    }

    #[test]
    fn texts_are_not_escaped() {
        let line = r#"{"type":"message","data":"\"x\""}"#;
        let text = ToGateway::Line {
            to: crate::fan_out::Audience::Messages {
                except: crate::fan_out::Except::default(),
            },
            text: line.into(),
        };
        let call = Call {
            from: GatewayName::new("a"),
            link: LinkId(1),
            content: Content::Batch(Batch {
                number: CallNumber { life: 1, seq: 1 },
                events: vec![text],
            }),
        };
        assert!(call.encode().ends_with(&format!("\n{line}")));
        let command = ToRoom::Command {
            member: ConnectionId(1),
            text: Secret("s3cr3t".into()),
        };
        assert!(!format!("{command:?}").contains("s3cr3t"));
    }
}
