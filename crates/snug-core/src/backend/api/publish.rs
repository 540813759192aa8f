//! Messages that a back end publishes: the bodies of requests to one room, and to several.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BODY_TOO_LONG, MESSAGE_TOO_LONG, NOT_JSON, UNREADABLE, unknown_field};
use crate::{
    ids::{Offset, Timestamp, UserId},
    limits::{
        API_MESSAGES_MAX, API_ROOMS_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX, KEY_BYTES_MAX,
        MENTIONS_MAX, PUBLISH_TIME_MIN, SAFE_INTEGER_MAX,
    },
    protocol::{
        command::{BAD_MENTIONS, EVENT_TOO_LONG, KEY_OUT_OF_BOUNDS},
        json,
        page::BAD_RE,
        refusal::Refusal,
    },
};

/// A message that a back end publishes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMessage<'a> {
    /// The content.
    #[serde(borrow, default, deserialize_with = "json::some_raw")]
    pub data: Option<&'a RawValue>,
    /// The event name.
    #[serde(borrow)]
    pub event: Option<Cow<'a, str>>,
    /// The idempotency key.
    #[serde(borrow)]
    pub key: Option<Cow<'a, str>>,
    /// The message to which it is a reply.
    #[serde(default, deserialize_with = "json::optional_whole")]
    pub re: Option<Offset>,
    /// The users whom it mentions.
    pub mentions: Option<Vec<UserId>>,
    /// The author; the token's user if absent.
    pub user: Option<UserId>,
    /// The time that the message gets; the time of the request if absent.
    #[serde(default, deserialize_with = "json::optional_whole")]
    pub time: Option<Timestamp>,
}

const INVALID_MESSAGES: Refusal =
    Refusal::BadRequest("The body must be a message, or an array of 1 to 100 messages");
const INVALID_MESSAGE: Refusal = Refusal::BadRequest(
    "A message must be an object with 'data' and, optionally, 'event', 'key' and 'user' as strings, 're' and 'time' as whole numbers, and 'mentions' as a list of users",
);
const TIME_TOO_EARLY: Refusal = Refusal::BadRequest(
    "'time' must be in milliseconds since 1970, not in seconds, and not before 1973",
);
/// Reads a body that is a message or an array of messages, each at most `message_bytes_max` long.
///
/// # Errors
///
/// `bad_request` or `too_large`.
pub fn read_messages(body: &str, message_bytes_max: usize) -> Result<Vec<NewMessage<'_>>, Refusal> {
    if body.len() > FRAME_BYTES_MAX {
        return Err(BODY_TOO_LONG);
    }
    let body = json::without_bom(body);
    let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
    let raw: Vec<&RawValue> = if whole.get().starts_with('[') {
        serde_json::from_str(whole.get()).map_err(|_| INVALID_MESSAGES)?
    } else {
        vec![whole]
    };
    if !(1..=API_MESSAGES_MAX).contains(&raw.len()) {
        return Err(INVALID_MESSAGES);
    }
    raw.into_iter()
        .map(|raw| NewMessage::read(raw, message_bytes_max))
        .collect()
}

impl<'a> NewMessage<'a> {
    fn read(raw: &'a RawValue, bytes_max: usize) -> Result<Self, Refusal> {
        let text = raw.get();
        if text.len() > bytes_max {
            return Err(MESSAGE_TOO_LONG);
        }
        if !json::is_object(raw) {
            return Err(INVALID_MESSAGE);
        }
        if !json::is_readable(text) {
            return Err(UNREADABLE);
        }
        let message: Self = serde_json::from_str(text).map_err(|_| Self::invalid(text))?;
        let is_long = |event: &Cow<'_, str>| event.len() > EVENT_BYTES_MAX;
        if message.event.as_ref().is_some_and(is_long) {
            return Err(Refusal::BadRequest(EVENT_TOO_LONG));
        }
        let is_key = |key: &Cow<'_, str>| (1..=KEY_BYTES_MAX).contains(&key.len());
        if !message.key.as_ref().is_none_or(is_key) {
            return Err(Refusal::BadRequest(KEY_OUT_OF_BOUNDS));
        }
        if message.re.is_some_and(|re| re.0 > SAFE_INTEGER_MAX) {
            return Err(Refusal::BadRequest(BAD_RE));
        }
        if message
            .mentions
            .as_ref()
            .is_some_and(|users| users.len() > MENTIONS_MAX)
        {
            return Err(Refusal::BadRequest(BAD_MENTIONS));
        }
        message.data.ok_or(INVALID_MESSAGE)?;
        if message.time.is_some_and(|time| time < PUBLISH_TIME_MIN) {
            return Err(TIME_TOO_EARLY);
        }
        Ok(message)
    }

    fn invalid(text: &str) -> Refusal {
        let unknown = json::unknown_field(
            text,
            &["data", "event", "key", "re", "mentions", "user", "time"],
        );
        unknown.map_or(INVALID_MESSAGE, |name| {
            let known = "a message has 'data', 'event', 'key', 're', 'mentions', 'user' and 'time'";
            unknown_field(&name, known)
        })
    }
}

/// The body of a request that publishes to several rooms.
#[derive(Debug)]
pub struct MultiRoomPublish<'a> {
    /// The rooms' names, not yet validated.
    pub rooms: Vec<Cow<'a, str>>,
    /// The messages, for [`read_messages`].
    pub messages: &'a str,
}

impl<'a> MultiRoomPublish<'a> {
    /// Reads the body and validates the messages.
    ///
    /// # Errors
    ///
    /// `bad_request` or `too_large`.
    pub fn read(body: &'a str, message_bytes_max: usize) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            rooms: Vec<Cow<'a, str>>,
            #[serde(borrow)]
            messages: &'a RawValue,
        }
        const INVALID_BODY: Refusal = Refusal::BadRequest(
            "The body must be an object with 'rooms', 1 to 100 different names, and 'messages'",
        );
        let body = json::without_bom(body);
        let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
        if !json::is_object(whole) {
            return Err(INVALID_BODY);
        }
        let Fields { rooms, messages } = serde_json::from_str(body).map_err(|_| {
            let unknown = json::unknown_field(body, &["rooms", "messages"]);
            unknown.map_or(INVALID_BODY, |name| {
                unknown_field(&name, "the body has 'rooms' and 'messages'")
            })
        })?;
        let distinct: BTreeSet<_> = rooms.iter().collect();
        if !(1..=API_ROOMS_MAX).contains(&rooms.len()) || distinct.len() < rooms.len() {
            return Err(INVALID_BODY);
        }
        let messages = messages.get();
        read_messages(messages, message_bytes_max)?;
        Ok(Self { rooms, messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_time_however_it_is_written_and_skips_a_byte_order_mark() {
        for time in ["1800000000000", "1800000000000.0", "1.8e12"] {
            let body = format!("\u{feff}{{\"data\":1,\"time\":{time}}}");
            let messages = read_messages(&body, 100).unwrap();
            let times: Vec<_> = messages.iter().map(|message| message.time).collect();
            assert_eq!(times, [Some(Timestamp(1_800_000_000_000))], "{time}");
        }
        assert!(read_messages(r#"{"data":1,"time":1800000000000.5}"#, 100).is_err());
    }
}
