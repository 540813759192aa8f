//! The publish hook's request, with messages that are not stored yet, and its response with decisions.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, Offset, RoomName, UserId},
    limits::REASON_BYTES_MAX,
    protocol::{change::ActionKind, json},
};

/// A publish hook request about messages of a room, in order.
#[derive(Clone, Debug)]
pub struct HookRequest {
    room: RoomName,
    /// The messages as a JSON array.
    messages: String,
    /// The most bytes of each message's data after a replacement.
    bytes_max: Vec<usize>,
}

/// A message that awaits a decision.
#[derive(Clone, Debug, Serialize)]
pub struct ProposedMessage<'a> {
    /// The author.
    pub user: &'a UserId,
    /// The author's connection.
    pub connection: ConnectionId,
    /// The message that would be changed; `None` for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Offset>,
    /// The action on that message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionKind>,
    /// The message to which it is a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Offset>,
    /// The users whom it mentions.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub mentions: &'a [UserId],
    /// The event name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a str>,
    /// The content, or the text to append.
    pub data: Cow<'a, RawValue>,
    /// The most bytes of the data after a replacement.
    #[serde(skip)]
    pub bytes_max: usize,
}

/// The publish hook's decision on a message.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Store the message.
    Allow,
    /// Store the message with this data.
    Replace(Box<RawValue>),
    /// Reject the message, optionally with a reason for its author.
    Refuse(Option<String>),
}

impl HookRequest {
    /// Creates a request about these messages.
    pub fn new(room: RoomName, messages: &[ProposedMessage<'_>]) -> Self {
        Self {
            room,
            // Cannot fail to serialize: fields are strings, and raw values are JSON.
            messages: serde_json::to_string(messages).unwrap_or_default(),
            bytes_max: messages.iter().map(|message| message.bytes_max).collect(),
        }
    }

    /// Returns the request's body; `timestamp` is in ISO 8601.
    pub fn body(&self, timestamp: &str) -> String {
        // A room's name contains no characters that JSON escapes.
        format!(
            r#"{{"type":"room.publish","timestamp":"{timestamp}","data":{{"room":"{}","messages":{}}}}}"#,
            self.room.as_str(),
            self.messages,
        )
    }

    /// Reads a response; `body` is used only with status 200. Returns one decision for each message.
    ///
    /// # Errors
    ///
    /// The reason why the response is invalid, for the operator's log. One invalid decision makes
    /// the whole response invalid.
    pub fn read_response(&self, status: u16, body: &[u8]) -> Result<Vec<Decision>, String> {
        if status != 200 {
            return Err(format!("answered {status}"));
        }
        let decisions = read_list(body).ok_or("returned no list of decisions")?;
        let (count, expected) = (decisions.len(), self.bytes_max.len());
        if count != expected {
            return Err(format!(
                "returned {count} decisions for {expected} messages"
            ));
        }
        let read = |(index, (raw, bytes_max)): (usize, (&RawValue, &usize))| {
            Decision::read(raw, *bytes_max)
                .map_err(|why| format!("returned an invalid decision {index}: {why}"))
        };
        (decisions.into_iter().zip(&self.bytes_max).enumerate())
            .map(read)
            .collect()
    }
}

/// Splits the response into its decisions.
fn read_list(body: &[u8]) -> Option<Vec<&RawValue>> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        decisions: Vec<&'a RawValue>,
    }
    let text = json::without_bom(str::from_utf8(body).ok()?);
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    let Response { decisions } = serde_json::from_str(whole.get()).ok()?;
    json::is_object(whole).then_some(decisions)
}

impl Decision {
    fn read(raw: &RawValue, bytes_max: usize) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            allow: bool,
            #[serde(borrow, default, deserialize_with = "json::some_raw")]
            data: Option<&'a RawValue>,
            #[serde(borrow)]
            reason: Option<Cow<'a, str>>,
        }
        const MALFORMED: &str = "malformed";
        if !json::is_object(raw) {
            return Err(MALFORMED);
        }
        let fields: Fields = serde_json::from_str(raw.get()).map_err(|_| MALFORMED)?;
        match (fields.allow, fields.data) {
            (true, None) => Ok(Self::Allow),
            (true, Some(data)) => {
                if data.get().len() > bytes_max {
                    return Err("'data' is too long");
                }
                if !json::is_readable(data.get()) {
                    return Err("'data' is not JSON that every client can read");
                }
                Ok(Self::Replace(data.to_owned()))
            }
            (false, _) => match fields.reason {
                Some(reason) if reason.len() > REASON_BYTES_MAX => Err("'reason' is too long"),
                reason => Ok(Self::Refuse(reason.map(Cow::into_owned))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_exactly_these_fields() {
        let (ann, data) = (user("ann"), raw(r#"{"a": "ü"}"#));
        let mut proposed = proposed(&ann, &data);
        let plain = request(&[proposed.clone()]).body("2027-01-15T08:00:05.000Z");
        proposed.event = Some("chat\"");
        let both = request(&[proposed.clone(), proposed]).body("");
        assert_eq!(
            plain,
            r#"{"type":"room.publish","timestamp":"2027-01-15T08:00:05.000Z","data":{"room":"team:7:general","messages":[{"user":"ann","connection":"0000000000000007","data":{"a": "ü"}}]}}"#
        );
        assert_eq!(
            both.matches(r#""event":"chat\"","data":{"a": "ü"}}"#)
                .count(),
            2
        );
    }

    #[test]
    fn reads_every_form_of_decision() {
        for (decision, expected) in [
            (r#"{"allow":true}"#, "allow"),
            (r#"{ "note": [1], "reason": null, "allow": true }"#, "allow"),
            (r#"{"allow":true,"data":{"b":1}}"#, r#"change {"b":1}"#),
            (r#"{"allow":true,"data":null}"#, "change null"),
            (r#"{"allow":true,"reason":"fine"}"#, "allow"),
            (r#"{"allow":false}"#, "refuse"),
            (r#"{"allow":false,"data":1}"#, "refuse"),
            (r#"{"allow":false,"reason":null}"#, "refuse"),
            (
                r#"{"allow":false,"reason":"no \"links\""}"#,
                r#"refuse no "links""#,
            ),
        ] {
            assert_eq!(read(decision), Ok(expected.into()), "{decision}");
        }
    }

    #[test]
    fn rejects_malformed_decisions_and_responses() {
        let form = "malformed";
        let unreadable = "'data' is not JSON that every client can read";
        for (decision, why) in [
            ("{}", form),
            ("[true]", form),
            ("true", form),
            ("null", form),
            (r#"{"allow":1}"#, form),
            (r#"{"allow":"true"}"#, form),
            (r#"{"allow":null}"#, form),
            (r#"{"allow":true,"allow":false}"#, form),
            (r#"{"allow":false,"reason":7}"#, form),
            (r#"{"allow":true,"data":1e999}"#, unreadable),
            (r#"{"allow":true,"data":"\ud800"}"#, unreadable),
        ] {
            let expected = Err(format!("returned an invalid decision 0: {why}"));
            assert_eq!(read(decision), expected, "{decision}");
        }
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"[[{"allow":true}]]"#,
            r#"{"decisions":null}"#,
            r#"{"decisions":{"allow":true}}"#,
            r#"{"decisions":[{"allow":true}]"#,
            r#"{"decisions":[{"allow":true}]}}"#,
            r#"{"decisions":[{"allow":true}],"decisions":[{"allow":true}]}"#,
        ] {
            let expected = Err("returned no list of decisions".into());
            assert_eq!(outcome(200, body.as_bytes()), expected, "{body}");
        }
        let not_utf8 = b"{\"decisions\":[{\"allow\":false,\"reason\":\"\xff\"}]}";
        assert!(outcome(200, not_utf8).is_err());
        for status in [201, 204, 302, 404, 500] {
            let expected = Err(format!("answered {status}"));
            assert_eq!(
                outcome(status, br#"{"decisions":[{"allow":true}]}"#),
                expected
            );
        }
    }

    #[test]
    fn requires_one_decision_for_each_message() {
        let (ann, data) = (user("ann"), raw("1"));
        let one = proposed(&ann, &data);
        for messages in [1, 3] {
            let request = request(&vec![one.clone(); messages]);
            for count in 0..5 {
                let decisions = vec![r#"{"allow":true}"#; count].join(",");
                let body = format!(r#"{{"decisions":[{decisions}]}}"#);
                let outcome = request.read_response(200, body.as_bytes());
                let why = format!("returned {count} decisions for {messages} messages");
                assert_eq!(
                    outcome.map(|all| all.len()),
                    if count == messages {
                        Ok(count)
                    } else {
                        Err(why)
                    }
                );
            }
        }
    }

    #[test]
    fn one_invalid_decision_makes_the_response_invalid() {
        let (ann, data) = (user("ann"), raw("1"));
        let request = request(&vec![proposed(&ann, &data); 2]);
        let body = br#"{"decisions":[{"allow":true},{"allow":7}]}"#;
        let why = request.read_response(200, body).map(|all| all.len());
        assert_eq!(why, Err("returned an invalid decision 1: malformed".into()));
    }

    #[test]
    fn limits_the_length_of_data_and_reasons() {
        let change =
            |bytes: usize| format!(r#"{{"allow":true,"data":"{}"}}"#, "x".repeat(bytes - 2));
        assert!(read(&change(100)).is_ok());
        let too_long = "returned an invalid decision 0: 'data' is too long";
        assert_eq!(read(&change(101)), Err(too_long.into()));
        let refuse = |bytes| format!(r#"{{"allow":false,"reason":"{}"}}"#, "x".repeat(bytes));
        assert!(read(&refuse(REASON_BYTES_MAX)).is_ok());
        let too_long = "returned an invalid decision 0: 'reason' is too long";
        assert_eq!(read(&refuse(REASON_BYTES_MAX + 1)), Err(too_long.into()));
    }

    /// Reads a response with this decision on one message.
    fn read(decision: &str) -> Result<String, String> {
        outcome(200, format!(r#"{{"decisions":[{decision}]}}"#).as_bytes())
    }

    fn outcome(status: u16, body: &[u8]) -> Result<String, String> {
        let (ann, data) = (user("ann"), raw("1"));
        let decisions = request(&[proposed(&ann, &data)]).read_response(status, body)?;
        let [decision] = decisions.as_slice() else {
            panic!("one decision");
        };
        Ok(match decision {
            Decision::Allow => "allow".into(),
            Decision::Replace(data) => format!("change {data}"),
            Decision::Refuse(None) => "refuse".into(),
            Decision::Refuse(Some(reason)) => format!("refuse {reason}"),
        })
    }

    fn proposed<'a>(user: &'a UserId, data: &'a RawValue) -> ProposedMessage<'a> {
        ProposedMessage {
            user,
            connection: ConnectionId(7),
            of: None,
            action: None,
            re: None,
            mentions: &[],
            event: None,
            data: Cow::Borrowed(data),
            bytes_max: 100,
        }
    }

    fn request(messages: &[ProposedMessage<'_>]) -> HookRequest {
        HookRequest::new(RoomName::parse("team:7:general").unwrap(), messages)
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }
}
