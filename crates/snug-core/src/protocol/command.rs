//! Commands from clients, each parsed from one line of JSON.

mod fields;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::value::RawValue;

use self::fields::Fields;
pub(crate) use self::fields::{
    BAD_MENTIONS, BAN_TOO_LONG, EVENT_TOO_LONG, KEY_OUT_OF_BOUNDS, REASON_TOO_LONG,
    UNKNOWN_COMMAND, each_once,
};
use crate::{
    capability::Capability,
    ids::{Offset, UserId},
    limits::{COMMAND_ID_BYTES_MAX, SAFE_INTEGER_MAX},
    protocol::{
        change::{Change, ChangeAction},
        error::ErrorCode,
        json,
        page::{PageRequest, ThreadRequest},
        reaction::Reaction,
    },
    secret::Secret,
};

/// A command's `id`, which its reply repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CommandId {
    /// 0 to 2^53 - 1.
    Number(u64),
    /// At most 64 bytes.
    Text(String),
}

impl<'de> Deserialize<'de> for CommandId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match json::whole_number(raw) {
            Some(number) => Ok(Self::Number(number)),
            None => serde_json::from_str(raw.get())
                .map(Self::Text)
                .map_err(D::Error::custom),
        }
    }
}

impl CommandId {
    /// Finds the `id` in a line that is not a valid command.
    pub fn find(line: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct OnlyId {
            id: Option<CommandId>,
        }
        let only: OnlyId = serde_json::from_str(line).ok()?;
        only.id.filter(Self::is_within_limits)
    }

    pub(crate) fn is_within_limits(&self) -> bool {
        match self {
            Self::Number(number) => *number <= SAFE_INTEGER_MAX,
            Self::Text(text) => text.len() <= COMMAND_ID_BYTES_MAX,
        }
    }
}

/// A client's command. Payloads keep the client's JSON text.
#[derive(Debug)]
pub enum Command<'a> {
    /// Store a message and send it to all.
    Publish {
        /// The message's content.
        data: &'a RawValue,
        /// The event name, chosen by the application.
        event: Option<Cow<'a, str>>,
        /// The idempotency key, under which the message is stored once.
        key: Option<Cow<'a, str>>,
        /// The message to which it is a reply.
        re: Option<Offset>,
        /// The users whom it mentions, each once.
        mentions: Vec<UserId>,
    },
    /// Change a stored message.
    Change(Change<'a>),
    /// Put a reaction on a stored message, or take it back.
    React(Reaction<'a>),
    /// Record how far the user has read.
    Read {
        /// The offset of the last message or change that the user has read.
        offset: Offset,
    },
    /// Send a signal to all or to some users, without storing it.
    Signal {
        /// The signal's content.
        data: &'a RawValue,
        /// The event name, chosen by the application.
        event: Option<Cow<'a, str>>,
        /// The recipients; all users if `None`.
        to: Option<Vec<UserId>>,
    },
    /// Set the connection's presence state.
    State {
        /// A JSON object.
        data: &'a RawValue,
    },
    /// List the members.
    Members,
    /// Read stored messages.
    History(PageRequest),
    /// Read the replies to a message.
    Thread(ThreadRequest),
    /// Replace the connection's token.
    Refresh {
        /// The token.
        token: Secret,
    },
    /// Close a user's connections.
    Kick {
        /// The user.
        user: UserId,
        /// The reason sent to the user.
        reason: Option<Cow<'a, str>>,
        /// The duration of the ban, which replaces an earlier one; 0 lifts it. `None` leaves an
        /// earlier ban unchanged.
        ban_seconds: Option<u64>,
    },
    /// Request a `pong`. The runtime answers the exact text [`PING`](super::push::PING) itself.
    Ping,
    /// Leave the room, on a connection that can have many.
    Leave,
}

impl Command<'_> {
    /// Returns the required capability; `None` if the command needs none.
    pub fn needs(&self) -> Option<Capability> {
        match self {
            Self::Publish { .. } => Some(Capability::Publish),
            Self::React(_) => Some(Capability::React),
            Self::Read { .. } => Some(Capability::Receive),
            Self::Signal { .. } => Some(Capability::Signal),
            Self::State { .. } | Self::Members => Some(Capability::Presence),
            Self::History(_) | Self::Thread(_) => Some(Capability::History),
            Self::Kick { .. } => Some(Capability::Moderate),
            // Depends on whose message it is.
            Self::Change(_) => None,
            Self::Refresh { .. } | Self::Ping | Self::Leave => None,
        }
    }

    /// Returns true if the command shows that the room is in use. A `refresh` or a `ping` does not,
    /// because clients send them by themselves.
    pub fn is_use(&self) -> bool {
        !matches!(self, Self::Refresh { .. } | Self::Ping | Self::Leave)
    }
}

/// The error of a line that is not a valid command.
#[derive(Debug, PartialEq, Eq)]
pub struct BadCommand {
    /// The command's id, if one could be read.
    pub id: Option<CommandId>,
    /// The error code.
    pub code: ErrorCode,
    /// The error's description, for a developer.
    pub message: &'static str,
}

impl<'a> Command<'a> {
    /// Parses one line.
    ///
    /// # Errors
    ///
    /// `bad_json`, `bad_command`, `unknown_command` or `too_large`.
    pub fn parse(line: &'a str) -> Result<(Option<CommandId>, Self), BadCommand> {
        if !json::is_readable(line) {
            return Err(BadCommand {
                id: None,
                code: ErrorCode::BadJson,
                message: "the command is malformed JSON, nested more than 64 levels deep, or contains a number beyond a double or an unpaired surrogate",
            });
        }
        let fields: Fields = serde_json::from_str(line).map_err(|_| malformed(line))?;
        let id = fields.id.clone();
        match fields.command() {
            Ok(command) => Ok((id, command)),
            Err((code, message)) => {
                let id = id.filter(CommandId::is_within_limits);
                Err(BadCommand { id, code, message })
            }
        }
    }
}

impl Command<'_> {
    /// Returns the capability with which a command is passed to the publish hook; `None` if it is not valid, or is not
    /// about the content of a message.
    pub fn hooked_with(line: &str) -> Option<Capability> {
        match Command::parse(line).ok()?.1 {
            Command::Publish { .. } => Some(Capability::Publish),
            Command::Change(change) => match change.action {
                ChangeAction::Edit(_) | ChangeAction::Append(_) => Some(Capability::Edit),
                ChangeAction::Delete { .. } => None,
            },
            _ => None,
        }
    }

    /// Returns true if the line is a `refresh`, which may exceed the connection's limit for commands.
    pub fn is_refresh(line: &str) -> bool {
        #[derive(Deserialize)]
        struct OnlyKind<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        serde_json::from_str(line).is_ok_and(|only: OnlyKind| only.kind == "refresh")
    }
}

/// Returns the error of JSON that is not a command.
fn malformed(line: &str) -> BadCommand {
    BadCommand {
        id: CommandId::find(line),
        code: ErrorCode::BadCommand,
        message: "a command must be an object with a 'type', and its fields must have the right types",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::Offset,
        limits::{
            BAN_SECONDS_MAX, EVENT_BYTES_MAX, KEY_BYTES_MAX, MENTIONS_MAX, NESTING_MAX,
            PAGE_MESSAGES_MAX, REACTION_BYTES_MAX, REASON_BYTES_MAX, SIGNAL_TO_MAX,
            STATE_BYTES_MAX,
        },
        protocol::page::PageStart,
    };

    fn refused(line: &str) -> (Option<CommandId>, ErrorCode) {
        let bad = Command::parse(line).unwrap_err();
        (bad.id, bad.code)
    }

    #[test]
    fn keeps_payloads_as_written() {
        let (id, command) =
            Command::parse(r#"{"type":"publish","data":{"b": 1.50,"a":null},"id":"x"}"#).unwrap();
        assert_eq!(id, Some(CommandId::Text("x".into())));
        let Command::Publish {
            data,
            event: None,
            key: None,
            re: None,
            mentions,
        } = command
        else {
            panic!("{command:?}")
        };
        assert_eq!(data.get(), r#"{"b": 1.50,"a":null}"#);
        assert!(mentions.is_empty());
    }

    #[test]
    fn reads_whole_numbers_however_they_are_written() {
        let parse = |line| Command::parse(line).unwrap();
        let (id, command) =
            parse(r#"{"type":"history","id":9007199254740991.0,"after":1e1,"limit":2.0}"#);
        assert_eq!(id, Some(CommandId::Number(SAFE_INTEGER_MAX)));
        let Command::History(page) = command else {
            panic!("{command:?}")
        };
        assert_eq!((page.from, page.limit), (PageStart::After(Offset(10)), 2));
        let (_, command) = parse(r#"{"type":"kick","user":"ann","ban_seconds":6.0E1}"#);
        let Command::Kick { ban_seconds, .. } = command else {
            panic!("{command:?}")
        };
        assert_eq!(ban_seconds, Some(60));
        for bad in [r#""id":1.5"#, r#""limit":2.5"#, r#""before":-1.0"#] {
            let line = format!(r#"{{"type":"history",{bad}}}"#);
            assert_eq!(refused(&line).1, ErrorCode::BadCommand, "{line}");
        }
    }

    #[test]
    fn accepts_null_as_data_and_rejects_missing_data() {
        assert!(Command::parse(r#"{"type":"publish","data":null}"#).is_ok());
        assert_eq!(
            refused(r#"{"type":"publish","id":1}"#),
            (Some(CommandId::Number(1)), ErrorCode::BadCommand)
        );
    }

    #[test]
    fn distinguishes_malformed_json_from_bad_commands() {
        use ErrorCode::{BadCommand, BadJson, UnknownCommand};
        for (line, code) in [
            ("", BadJson),
            ("{", BadJson),
            ("nonsense", BadJson),
            (r#"{"type":"ping"} x"#, BadJson),
            (r#"{"type":"publish","data":1e400}"#, BadJson),
            (r#"{"type":"publish","data":["\ud800"]}"#, BadJson),
            ("[]", BadCommand),
            ("7", BadCommand),
            ("null", BadCommand),
            (r#"{"id":1}"#, BadCommand),
            (r#"{"type":7}"#, BadCommand),
            (r#"{"type":"ping","type":"ping"}"#, BadCommand),
            (r#"{"type":"signal","data":1,"to":"bob"}"#, BadCommand),
            (r#"{"type":"signal","data":1,"to":[""]}"#, BadCommand),
            (r#"{"type":"history","after":1,"before":5}"#, BadCommand),
            (r#"{"type":"history","after":-1}"#, BadCommand),
            (r#"{"type":"history","after":1.5}"#, BadCommand),
            (r#"{"type":"state","data":[]}"#, BadCommand),
            (r#"{"type":"refresh"}"#, BadCommand),
            (r#"{"type":"refresh","token":7}"#, BadCommand),
            (r#"{"type":"kick"}"#, BadCommand),
            (r#"{"type":"kick","user":""}"#, BadCommand),
            (r#"{"type":"kick","user":7}"#, BadCommand),
            (
                r#"{"type":"kick","user":"bob","ban_seconds":-1}"#,
                BadCommand,
            ),
            (
                r#"{"type":"kick","user":"bob","ban_seconds":1.5}"#,
                BadCommand,
            ),
            (r#"{"type":"publish","data":1,"re":"1"}"#, BadCommand),
            (
                r#"{"type":"publish","data":1,"mentions":"bob"}"#,
                BadCommand,
            ),
            (r#"{"type":"publish","data":1,"mentions":[""]}"#, BadCommand),
            (r#"{"type":"history","re":-1}"#, BadCommand),
            (r#"{"type":"edit","data":1}"#, BadCommand),
            (r#"{"type":"edit","of":1}"#, BadCommand),
            (r#"{"type":"edit","of":"1","data":1}"#, BadCommand),
            (r#"{"type":"edit","of":1.5,"data":1}"#, BadCommand),
            (r#"{"type":"edit","of":1,"data":1,"key":""}"#, BadCommand),
            (
                r#"{"type":"edit","of":1,"data":1,"if_version":"1"}"#,
                BadCommand,
            ),
            (r#"{"type":"append","of":1}"#, BadCommand),
            (r#"{"type":"append","of":1,"text":7}"#, BadCommand),
            (r#"{"type":"delete"}"#, BadCommand),
            (r#"{"type":"read"}"#, BadCommand),
            (r#"{"type":"read","offset":"1"}"#, BadCommand),
            (r#"{"type":"react","of":1}"#, BadCommand),
            (r#"{"type":"react","name":"a"}"#, BadCommand),
            (r#"{"type":"react","of":1,"name":7}"#, BadCommand),
            (r#"{"type":"unreact","of":1,"name":""}"#, BadCommand),
            (r#"{"type":"ping","id":-1}"#, BadCommand),
            (r#"{"type":"ping","id":{}}"#, BadCommand),
            (r#"{"type":"dance"}"#, UnknownCommand),
            (r#"{"type":"__proto__"}"#, UnknownCommand),
        ] {
            assert_eq!(Command::parse(line).unwrap_err().code, code, "{line}");
        }
    }

    #[test]
    fn fields_of_changes_are_ignored_in_other_commands() {
        let line = r#"{"type":"publish","data":1,"of":"x","text":7,"if_version":[],"name":{},"offset":[]}"#;
        assert!(Command::parse(line).is_ok());
    }

    #[test]
    fn finds_the_id_of_a_bad_command_if_possible() {
        assert_eq!(
            refused(r#"{"type":7,"id":5}"#).0,
            Some(CommandId::Number(5))
        );
        assert_eq!(refused(r#"{"type":7,"id":[]}"#).0, None);
        assert_eq!(
            refused(r#"{"type":"dance","id":"d"}"#).0,
            Some(CommandId::Text("d".into()))
        );
    }

    #[test]
    fn accepts_every_field_up_to_its_limit_and_rejects_more() {
        let with = |field: &str| format!(r#"{{"type":"signal","data":1,{field}}}"#);
        let to = |n: usize| format!(r#""to":[{}]"#, vec![r#""u""#; n].join(","));
        let text = |name: &str, n: usize| format!(r#""{name}":"{}""#, "x".repeat(n));
        let state = |n: usize| {
            format!(
                r#"{{"type":"state","data":{{"a":"{}"}}}}"#,
                "x".repeat(n - 8)
            )
        };
        let kick = |field: &str| format!(r#"{{"type":"kick","user":"bob",{field}}}"#);
        let delete = |n: usize| {
            let reason = text("reason", n);
            format!(r#"{{"type":"delete","of":1,{reason}}}"#)
        };
        let ban = |n: u64| kick(&format!(r#""ban_seconds":{n}"#));
        let page = |n: u32| format!(r#"{{"type":"history","limit":{n}}}"#);
        let deep = |n: usize| {
            format!(
                r#"{{"type":"publish","data":{}{}}}"#,
                "[".repeat(n - 1),
                "]".repeat(n - 1)
            )
        };
        let key = |n: usize| format!(r#"{{"type":"publish","data":1,{}}}"#, text("key", n));
        let offset = |n: u64| format!(r#"{{"type":"history","before":{n}}}"#);
        let mentions = |n: usize| {
            let users: Vec<_> = (0..n).map(|user| format!(r#""u{user}""#)).collect();
            format!(
                r#"{{"type":"publish","data":1,"mentions":[{}]}}"#,
                users.join(",")
            )
        };
        let react = |n: usize| {
            let name = text("name", n);
            format!(r#"{{"type":"react","of":1,{name}}}"#)
        };
        for (fits, exceeds) in [
            (mentions(MENTIONS_MAX), mentions(MENTIONS_MAX + 1)),
            (react(1), react(0)),
            (react(REACTION_BYTES_MAX), react(REACTION_BYTES_MAX + 1)),
            (with(&to(SIGNAL_TO_MAX)), with(&to(SIGNAL_TO_MAX + 1))),
            (
                with(&text("event", EVENT_BYTES_MAX)),
                with(&text("event", EVENT_BYTES_MAX + 1)),
            ),
            (
                with(&text("id", COMMAND_ID_BYTES_MAX)),
                with(&text("id", COMMAND_ID_BYTES_MAX + 1)),
            ),
            (
                with(&format!(r#""id":{SAFE_INTEGER_MAX}"#)),
                with(&format!(r#""id":{}"#, SAFE_INTEGER_MAX + 1)),
            ),
            (key(KEY_BYTES_MAX), key(KEY_BYTES_MAX + 1)),
            (state(STATE_BYTES_MAX), state(STATE_BYTES_MAX + 1)),
            (page(PAGE_MESSAGES_MAX), page(PAGE_MESSAGES_MAX + 1)),
            (page(1), page(0)),
            (delete(REASON_BYTES_MAX), delete(REASON_BYTES_MAX + 1)),
            (ban(BAN_SECONDS_MAX), ban(BAN_SECONDS_MAX + 1)),
            (
                kick(&text("reason", REASON_BYTES_MAX)),
                kick(&text("reason", REASON_BYTES_MAX + 1)),
            ),
            (deep(NESTING_MAX), deep(NESTING_MAX + 1)),
            (offset(SAFE_INTEGER_MAX), offset(SAFE_INTEGER_MAX + 1)),
        ] {
            assert!(Command::parse(&fits).is_ok(), "{fits}");
            assert!(Command::parse(&exceeds).is_err(), "{exceeds}");
        }
    }
}
