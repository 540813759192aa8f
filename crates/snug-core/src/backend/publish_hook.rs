//! What the application's back end is asked about messages before they are stored, and what it says.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, RoomName, UserId},
    limits::REASON_BYTES_MAX,
    protocol::json,
};

/// What is asked about some messages of a room, in order.
#[derive(Debug)]
pub struct HookRequest {
    room: RoomName,
    /// The messages as a JSON array.
    messages: String,
    /// How long the data of each may become.
    bytes_max: Vec<usize>,
}

/// A message that somebody wants to be stored.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProposedMessage<'a> {
    /// Whose it is.
    pub user: &'a UserId,
    /// The connection that it came by.
    pub connection: ConnectionId,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a str>,
    /// What it says.
    pub data: &'a RawValue,
    /// How long its data may become, in bytes.
    #[serde(skip)]
    pub bytes_max: usize,
}

/// What becomes of a message.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It is stored.
    Allow,
    /// It is stored with other data.
    Replace(Box<RawValue>),
    /// It is not stored; its member is told why, where the back end says.
    Refuse(Option<String>),
}

impl HookRequest {
    /// Asks about these.
    pub fn new(room: RoomName, messages: &[ProposedMessage<'_>]) -> Self {
        Self {
            room,
            // Nothing in here can fail to serialise: it is texts, and raw values are JSON.
            messages: serde_json::to_string(messages).unwrap_or_default(),
            bytes_max: messages.iter().map(|message| message.bytes_max).collect(),
        }
    }

    /// What to send, at a time in ISO 8601.
    pub fn body(&self, timestamp: &str) -> String {
        // A room's name has nothing that JSON escapes.
        format!(
            r#"{{"type":"room.publish","timestamp":"{timestamp}","data":{{"room":"{}","messages":{}}}}}"#,
            self.room.as_str(),
            self.messages,
        )
    }

    /// Reads an answer: its status, and the body that goes with 200. There is a verdict for each
    /// message, or for none.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, for the operator.
    pub fn read_answer(&self, status: u16, body: &[u8]) -> Result<Vec<Decision>, String> {
        if status != 200 {
            return Err(format!("answered {status}"));
        }
        let verdicts = read_list(body).ok_or("returned no list of decisions")?;
        let (count, wanted) = (verdicts.len(), self.bytes_max.len());
        if count != wanted {
            return Err(format!("returned {count} decisions for {wanted}"));
        }
        let read = |(index, (raw, bytes_max)): (usize, (&RawValue, &usize))| {
            Decision::read(raw, *bytes_max)
                .map_err(|why| format!("returned a decision that {why}, at {index}"))
        };
        (verdicts.into_iter().zip(&self.bytes_max).enumerate())
            .map(read)
            .collect()
    }
}

/// The verdicts, not yet read.
fn read_list(body: &[u8]) -> Option<Vec<&RawValue>> {
    #[derive(Deserialize)]
    struct Verdicts<'a> {
        #[serde(borrow)]
        decisions: Vec<&'a RawValue>,
    }
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    let Verdicts { decisions } = serde_json::from_str(whole.get()).ok()?;
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
        const MISSHAPEN: &str = "is not of its form";
        if !json::is_object(raw) {
            return Err(MISSHAPEN);
        }
        let fields: Fields = serde_json::from_str(raw.get()).map_err(|_| MISSHAPEN)?;
        match (fields.allow, fields.data) {
            (true, None) => Ok(Self::Allow),
            (true, Some(data)) => {
                if data.get().len() > bytes_max {
                    return Err("makes its message too long");
                }
                if !json::is_readable(data.get()) {
                    return Err("makes its message JSON that not every client can read");
                }
                Ok(Self::Replace(data.to_owned()))
            }
            (false, _) => match fields.reason {
                Some(reason) if reason.len() > REASON_BYTES_MAX => Err("has too long a reason"),
                reason => Ok(Self::Refuse(reason.map(Cow::into_owned))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_just_these_fields() {
        let (ann, data) = (user("ann"), raw(r#"{"a": "ü"}"#));
        let mut candidate = candidate(&ann, &data);
        let plain = question(&[candidate]).body("2027-01-15T08:00:05.000Z");
        candidate.event = Some("chat\"");
        let both = question(&[candidate, candidate]).body("");
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
    fn verdicts_are_of_these_forms() {
        for (verdict, expected) in [
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
            assert_eq!(read(verdict), Ok(expected.into()), "{verdict}");
        }
    }

    #[test]
    fn what_is_not_quite_a_verdict_is_none() {
        let form = "is not of its form";
        let unreadable = "makes its message JSON that not every client can read";
        for (verdict, why) in [
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
            let expected = Err(format!("returned a decision that {why}, at 0"));
            assert_eq!(read(verdict), expected, "{verdict}");
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
    fn there_is_one_for_each_message() {
        let (ann, data) = (user("ann"), raw("1"));
        let one = candidate(&ann, &data);
        for asked in [1, 3] {
            let question = question(&vec![one; asked]);
            for count in 0..5 {
                let verdicts = vec![r#"{"allow":true}"#; count].join(",");
                let body = format!(r#"{{"decisions":[{verdicts}]}}"#);
                let outcome = question.read_answer(200, body.as_bytes());
                let why = format!("returned {count} decisions for {asked}");
                assert_eq!(
                    outcome.map(|all| all.len()),
                    if count == asked { Ok(count) } else { Err(why) }
                );
            }
        }
    }

    #[test]
    fn one_that_is_none_spoils_the_others() {
        let (ann, data) = (user("ann"), raw("1"));
        let question = question(&[candidate(&ann, &data); 2]);
        let body = br#"{"decisions":[{"allow":true},{"allow":7}]}"#;
        let why = question.read_answer(200, body).map(|all| all.len());
        assert_eq!(
            why,
            Err("returned a decision that is not of its form, at 1".into())
        );
    }

    #[test]
    fn data_and_reasons_have_their_lengths() {
        let change =
            |bytes: usize| format!(r#"{{"allow":true,"data":"{}"}}"#, "x".repeat(bytes - 2));
        assert!(read(&change(100)).is_ok());
        let too_long = "returned a decision that makes its message too long, at 0";
        assert_eq!(read(&change(101)), Err(too_long.into()));
        let refuse = |bytes| format!(r#"{{"allow":false,"reason":"{}"}}"#, "x".repeat(bytes));
        assert!(read(&refuse(REASON_BYTES_MAX)).is_ok());
        let too_long = "returned a decision that has too long a reason, at 0";
        assert_eq!(read(&refuse(REASON_BYTES_MAX + 1)), Err(too_long.into()));
    }

    /// Reads an answer about one message with this verdict.
    fn read(verdict: &str) -> Result<String, String> {
        outcome(200, format!(r#"{{"decisions":[{verdict}]}}"#).as_bytes())
    }

    fn outcome(status: u16, body: &[u8]) -> Result<String, String> {
        let (ann, data) = (user("ann"), raw("1"));
        let verdicts = question(&[candidate(&ann, &data)]).read_answer(status, body)?;
        let [verdict] = verdicts.as_slice() else {
            panic!("one verdict");
        };
        Ok(match verdict {
            Decision::Allow => "allow".into(),
            Decision::Replace(data) => format!("change {data}"),
            Decision::Refuse(None) => "refuse".into(),
            Decision::Refuse(Some(reason)) => format!("refuse {reason}"),
        })
    }

    fn candidate<'a>(user: &'a UserId, data: &'a RawValue) -> ProposedMessage<'a> {
        ProposedMessage {
            user,
            connection: ConnectionId(7),
            event: None,
            data,
            bytes_max: 100,
        }
    }

    fn question(messages: &[ProposedMessage<'_>]) -> HookRequest {
        HookRequest::new(RoomName::parse("team:7:general").unwrap(), messages)
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }
}
