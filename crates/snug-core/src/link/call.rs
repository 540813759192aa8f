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
            Content::End => (None, [].as_slice()),
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

    /// Reads a call; `None` if it is not one, or is of a version that is not known.
    pub fn decode(text: &str) -> Option<Self> {
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
