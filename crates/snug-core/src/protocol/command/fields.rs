//! The fields of commands, and the limits of each.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Command, CommandId};
use crate::{
    ids::{Offset, UserId},
    limits::{
        BAN_SECONDS_MAX, EVENT_BYTES_MAX, KEY_BYTES_MAX, MENTIONS_MAX, REACTION_BYTES_MAX,
        REASON_BYTES_MAX, SIGNAL_TO_MAX, STATE_BYTES_MAX,
    },
    protocol::{
        change::{Change, ChangeAction},
        error::ErrorCode,
        json,
        page::{BAD_RE, PageRequest, ThreadRequest},
        reaction::Reaction,
    },
    secret::Secret,
};

/// The error text of a `type` that does not exist.
pub(crate) const UNKNOWN_COMMAND: &str = "unknown command 'type'";
/// The error text of an `event` over its limit.
pub(crate) const EVENT_TOO_LONG: &str = "'event' must be at most 64 bytes";
/// The error text of a change without `of`.
const NO_OF: &str = "'of' must be the offset of the message";
/// The error text of `mentions` that are not users, or too many.
pub(crate) const BAD_MENTIONS: &str = "'mentions' must be a list of at most 32 users";
/// The error text of a `read` without `offset`.
const BAD_OFFSET: &str = "'read' needs 'offset', that of a message or change";
/// The error text of an `if_version` that is not a number.
const BAD_VERSION: &str = "'if_version' must be a whole number";
/// The error text of an `append` without `text`.
const NO_TEXT: &str = "'append' needs 'text', a string";
/// The error text of a reaction whose `name` is missing, empty or over its limit.
const BAD_NAME: &str = "'name' must be a string of 1 to 64 bytes";
/// The error text of a `key` that is empty or over its limit.
pub(crate) const KEY_OUT_OF_BOUNDS: &str = "'key' must have 1 to 64 bytes";
/// The error text of a `reason` over its limit.
pub(crate) const REASON_TOO_LONG: &str = "'reason' must be at most 256 bytes";
/// The error text of a ban over its limit.
pub(crate) const BAN_TOO_LONG: &str = "'ban_seconds' must be at most 315,360,000 (ten years)";

/// All fields of all commands. [`Self::command`] picks those of the `type`.
#[derive(Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    pub(super) id: Option<CommandId>,
    #[serde(borrow, default, deserialize_with = "json::some_raw")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    to: Option<Vec<UserId>>,
    // Other commands may have fields of these names, which are ignored as unknown ones are.
    #[serde(borrow)]
    of: Option<&'a RawValue>,
    #[serde(borrow)]
    if_version: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    re: Option<&'a RawValue>,
    #[serde(borrow)]
    mentions: Option<&'a RawValue>,
    #[serde(borrow)]
    offset: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "json::optional_whole")]
    after: Option<Offset>,
    #[serde(default, deserialize_with = "json::optional_whole")]
    before: Option<Offset>,
    #[serde(default, deserialize_with = "json::optional_whole")]
    limit: Option<u32>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    user: Option<UserId>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "json::optional_whole")]
    ban_seconds: Option<u64>,
}

/// The code and the text of an error.
type Fault = (ErrorCode, &'static str);

const fn bad(message: &'static str) -> Fault {
    (ErrorCode::BadCommand, message)
}

impl<'a> Fields<'a> {
    /// Returns the command, if its fields are valid.
    ///
    /// # Errors
    ///
    /// `bad_command`, `unknown_command` or `too_large`.
    pub(super) fn command(self) -> Result<Command<'a>, Fault> {
        if self.id.as_ref().is_some_and(|id| !id.is_within_limits()) {
            return Err(bad(
                "'id' must be a string of at most 64 bytes or an integer from 0 to 2^53-1",
            ));
        }
        if self
            .event
            .as_ref()
            .is_some_and(|event| event.len() > EVENT_BYTES_MAX)
        {
            return Err(bad(EVENT_TOO_LONG));
        }
        match &*self.kind {
            "publish" => self.publish(),
            "edit" => self.edit(),
            "append" => self.append(),
            "delete" => self.delete(),
            "react" => self.react(true),
            "unreact" => self.react(false),
            "read" => self.read(),
            "signal" => self.signal(),
            "state" => self.state(),
            "members" => Ok(Command::Members),
            "history" => self.history(),
            "refresh" => self.refresh(),
            "kick" => self.kick(),
            "ping" => Ok(Command::Ping),
            "leave" => Ok(Command::Leave),
            _ => Err((ErrorCode::UnknownCommand, UNKNOWN_COMMAND)),
        }
    }

    fn check_key(&self) -> Result<(), Fault> {
        let is_key = |key: &Cow<'_, str>| (1..=KEY_BYTES_MAX).contains(&key.len());
        match self.key.as_ref().is_none_or(is_key) {
            true => Ok(()),
            false => Err(bad(KEY_OUT_OF_BOUNDS)),
        }
    }

    fn edit(self) -> Result<Command<'a>, Fault> {
        let data = self.data.ok_or(bad("'edit' needs 'data'"))?;
        self.change(ChangeAction::Edit(Cow::Borrowed(data)))
    }

    fn append(self) -> Result<Command<'a>, Fault> {
        let text = self
            .text
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        let text = text.ok_or(bad(NO_TEXT))?;
        self.change(ChangeAction::Append(text))
    }

    fn delete(mut self) -> Result<Command<'a>, Fault> {
        let reason = self.reason.take();
        let is_long = |reason: &Cow<'_, str>| reason.len() > REASON_BYTES_MAX;
        if reason.as_ref().is_some_and(is_long) {
            return Err(bad(REASON_TOO_LONG));
        }
        self.change(ChangeAction::Delete { reason })
    }

    fn message(&self) -> Result<Offset, Fault> {
        let of = self.of.and_then(json::whole_number).ok_or(bad(NO_OF))?;
        Ok(Offset(of))
    }

    fn react(self, is_on: bool) -> Result<Command<'a>, Fault> {
        let of = self.message()?;
        let name = self
            .name
            .and_then(|raw| serde_json::from_str::<Cow<'a, str>>(raw.get()).ok())
            .filter(|name| (1..=REACTION_BYTES_MAX).contains(&name.len()))
            .ok_or(bad(BAD_NAME))?;
        Ok(Command::React(Reaction { of, name, is_on }))
    }

    fn change(self, action: ChangeAction<'a>) -> Result<Command<'a>, Fault> {
        self.check_key()?;
        let of = self.message()?;
        let if_version = match self.if_version {
            Some(raw) => Some(json::whole_number(raw).ok_or(bad(BAD_VERSION))?),
            None => None,
        };
        Ok(Command::Change(Change {
            of,
            action,
            if_version,
            key: self.key,
        }))
    }

    fn publish(self) -> Result<Command<'a>, Fault> {
        self.check_key()?;
        let data = self.data.ok_or(bad("'publish' needs 'data'"))?;
        Ok(Command::Publish {
            data,
            re: self.root()?,
            mentions: self.mentioned()?,
            event: self.event,
            key: self.key,
        })
    }

    fn read(self) -> Result<Command<'a>, Fault> {
        let offset = self.offset.and_then(json::whole_number);
        let offset = Offset(offset.ok_or(bad(BAD_OFFSET))?);
        Ok(Command::Read { offset })
    }

    fn mentioned(&self) -> Result<Vec<UserId>, Fault> {
        let Some(raw) = self.mentions else {
            return Ok(Vec::new());
        };
        let users: Vec<UserId> = serde_json::from_str(raw.get()).map_err(|_| bad(BAD_MENTIONS))?;
        match users.len() <= MENTIONS_MAX {
            true => Ok(each_once(users)),
            false => Err(bad(BAD_MENTIONS)),
        }
    }

    fn root(&self) -> Result<Option<Offset>, Fault> {
        let read = |raw| json::whole_number(raw).map(Offset).ok_or(bad(BAD_RE));
        self.re.map(read).transpose()
    }

    fn signal(self) -> Result<Command<'a>, Fault> {
        if self.to.as_ref().is_some_and(|to| to.len() > SIGNAL_TO_MAX) {
            return Err(bad("'to' must name at most 32 users"));
        }
        let data = self.data.ok_or(bad("'signal' needs 'data'"))?;
        Ok(Command::Signal {
            data,
            event: self.event,
            to: self.to,
        })
    }

    fn state(self) -> Result<Command<'a>, Fault> {
        let data = self.data.ok_or(bad("'state' needs 'data'"))?;
        if !json::is_object(data) {
            return Err(bad("'data' of 'state' must be an object"));
        }
        if data.get().len() > STATE_BYTES_MAX {
            return Err((
                ErrorCode::TooLarge,
                "'data' of 'state' must be at most 2,048 bytes",
            ));
        }
        Ok(Command::State { data })
    }

    fn history(self) -> Result<Command<'a>, Fault> {
        let page = PageRequest::read(self.after, self.before, self.limit).map_err(bad)?;
        Ok(match self.root()? {
            Some(root) => Command::Thread(ThreadRequest::read(root, page).map_err(bad)?),
            None => Command::History(page),
        })
    }

    fn refresh(self) -> Result<Command<'a>, Fault> {
        let token = self.token.ok_or(bad("'refresh' needs 'token'"))?;
        let token = Secret(token.into_owned());
        Ok(Command::Refresh { token })
    }

    fn kick(self) -> Result<Command<'a>, Fault> {
        let user = self.user.ok_or(bad("'kick' needs 'user'"))?;
        let is_long = |reason: &Cow<'_, str>| reason.len() > REASON_BYTES_MAX;
        if self.reason.as_ref().is_some_and(is_long) {
            return Err(bad(REASON_TOO_LONG));
        }
        if self.ban_seconds.is_some_and(|ban| ban > BAN_SECONDS_MAX) {
            return Err(bad(BAN_TOO_LONG));
        }
        Ok(Command::Kick {
            user,
            reason: self.reason,
            ban_seconds: self.ban_seconds,
        })
    }
}

/// Returns the users, each once, in the same order.
pub(crate) fn each_once(mut users: Vec<UserId>) -> Vec<UserId> {
    let mut seen = BTreeSet::new();
    users.retain(|user| seen.insert(user.clone()));
    users
}
