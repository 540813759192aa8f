//! The commands of sessions: those that the gateway answers itself, and those that it passes on to rooms.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Gateway,
    fault::Fault,
    io::{JoinRoom, Output, TokenCheck},
    store::Store,
};
use crate::{
    auth::{JoinOptions, Mode, Position},
    ids::{ConnectionId, Offset, RoomName},
    limits::{
        EPOCH_BYTES_MAX, ERRORS_MAX, FRAME_BYTES_MAX, JOIN_CHECKS_MAX, REFRESH_BYTES_MAX,
        ROOMS_PER_SESSION_MAX, SAFE_INTEGER_MAX,
    },
    link::event::ToRoom,
    protocol::{
        command::{BadCommand, Command, CommandId},
        error::{CloseCode, ErrorCode},
        frame::Frame,
        json,
        push::{Push, with_room},
        refusal::Refusal,
    },
    secret::Secret,
};

/// The fields that the gateway reads of every command.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    id: Option<CommandId>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
}

/// The fields of `join`.
#[derive(Deserialize)]
struct JoinFields<'a> {
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    epoch: Option<String>,
    #[serde(default, deserialize_with = "json::optional_whole")]
    offset: Option<Offset>,
    #[serde(default, deserialize_with = "json::optional_whole")]
    last: Option<u64>,
    echo: Option<bool>,
    presence: Option<bool>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
}

const NOT_JOINED: &str = "join the room first";
const NO_ROOM: &str = "'room' is missing: name the room that the command is for";

impl<S: Store> Gateway<S> {
    /// Processes a frame, command by command.
    pub(super) fn receive(&mut self, from: ConnectionId, text: &str) {
        let (rules, now) = (self.rules.clone(), self.now);
        let Some(session) = self.sessions.get_mut(&from) else {
            return;
        };
        let wire = session.socket.wire;
        if session.socket.record_activity(&rules.room, now) {
            self.attach(from);
        }
        if text.len() > FRAME_BYTES_MAX {
            return self.close_too_large(from);
        }
        let mut frame = Frame::new(from, text.to_owned(), wire);
        while self.sessions.contains_key(&from)
            && let Some(line) = frame.next_line()
        {
            self.handle_line(from, line);
        }
    }

    fn handle_line(&mut self, from: ConnectionId, line: &str) {
        let Some(session) = self.sessions.get(&from) else {
            return;
        };
        let is_long = line.len() > session.message_bytes_max;
        let envelope = serde_json::from_str::<Envelope<'_>>(line);
        let kind = envelope.as_ref().map_or("", |envelope| &*envelope.kind);
        let has_token = matches!(kind, "refresh" | "join");
        if is_long && (line.len() > REFRESH_BYTES_MAX || !has_token) {
            return self.close_too_large(from);
        }
        // Joins have a rate of their own, so that a client can come back to all of its rooms.
        if kind != "join" && !self.take_command(from, line) {
            return;
        }
        let outcome = match envelope {
            Ok(envelope) => self.handle_command(from, &envelope, line),
            Err(_) => match Command::parse(line) {
                Err(BadCommand { code, message, .. }) => Err(Fault::new(code, message)),
                Ok(_) => Err(Fault::new(ErrorCode::BadCommand, "'room' must be a string")),
            },
        };
        if let Err(fault) = outcome {
            let (id, room) = id_and_room(line);
            self.reject(from, id.as_ref(), room.as_ref(), &fault);
        }
    }

    /// Takes a command from the session's rate; returns false if that is exceeded.
    fn take_command(&mut self, from: ConnectionId, line: &str) -> bool {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&from) else {
            return false;
        };
        let Err(retry_after_ms) = session.commands.take(session.rate, now) else {
            session.throttled = session.throttled.saturating_sub(1);
            if session.commands.outlasts_hibernation(now) {
                self.attach(from);
            }
            return true;
        };
        self.throttle(from, line, "too many commands", retry_after_ms);
        false
    }

    /// Rejects a command that comes too fast. A flood of them closes the connection.
    fn throttle(
        &mut self,
        from: ConnectionId,
        line: &str,
        message: &'static str,
        retry_after_ms: u64,
    ) {
        let Some(session) = self.sessions.get_mut(&from) else {
            return;
        };
        session.throttled = session.throttled.saturating_add(1);
        let flood = session.rate.burst.max(ERRORS_MAX as u32);
        let is_flood = session.throttled >= flood;
        let (id, room) = id_and_room(line);
        let fault = Fault::later(ErrorCode::RateLimited.name(), message, retry_after_ms);
        self.reject(from, id.as_ref(), room.as_ref(), &fault);
        if is_flood {
            self.close(from, CloseCode::TooManyErrors);
        }
    }

    fn handle_command(
        &mut self,
        from: ConnectionId,
        envelope: &Envelope<'_>,
        line: &str,
    ) -> Result<(), Fault> {
        let id = envelope.id.clone();
        if id.as_ref().is_some_and(|id| !id.is_within_limits()) {
            return Err(Fault::new(
                ErrorCode::BadCommand,
                "'id' must be a string of at most 64 bytes or an integer from 0 to 2^53-1",
            ));
        }
        let room = envelope.room.map(read_room).transpose()?;
        match (&*envelope.kind, room) {
            ("join", Some(room)) => self.join(from, id, room, line),
            ("ping", None) => {
                self.send(from, &Push::Pong { id: id.as_ref() });
                Ok(())
            }
            ("refresh", None) => self.refresh(from, id, line),
            (_, Some(room)) => self.pass_on(from, &room, line),
            (_, None) => Err(Fault::new(ErrorCode::BadCommand, NO_ROOM)),
        }
    }

    fn join(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        room: RoomName,
        line: &str,
    ) -> Result<(), Fault> {
        if let Err(retry_after_ms) = self.take_join(from) {
            self.throttle(from, line, "too many joins", retry_after_ms);
            return Ok(());
        }
        let fields: JoinFields<'_> = serde_json::from_str(line).map_err(|_| {
            Fault::new(
                ErrorCode::BadCommand,
                "the fields of 'join' must have the right types",
            )
        })?;
        let options = read_options(&fields)?;
        let Some(session) = self.sessions.get_mut(&from) else {
            return Ok(());
        };
        if !session.rooms.contains_key(&room) && session.rooms.len() >= ROOMS_PER_SESSION_MAX {
            return Err(Fault::too_many_rooms());
        }
        let join = JoinRoom { id, room, options };
        let Some(token) = fields.token else {
            let admission = session.admission(&join.room, join.options.clone());
            let admission = admission.ok_or_else(|| Fault::from(&Refusal::RoomForbidden))?;
            return self.subscribe(from, join, admission, false);
        };
        if session.join_checks >= JOIN_CHECKS_MAX {
            let message = "too many tokens of 'join' commands are being checked";
            return Err(Fault::later(ErrorCode::RateLimited.name(), message, 1_000));
        }
        session.join_checks = session.join_checks.saturating_add(1);
        self.join_checks = self.join_checks.saturating_add(1);
        self.outputs.push_back(Output::CheckToken {
            connection: from,
            check: TokenCheck::Join(join),
            token: Secret(token.into_owned()),
        });
        Ok(())
    }

    /// Passes a command on to its room.
    fn pass_on(&mut self, from: ConnectionId, room: &RoomName, line: &str) -> Result<(), Fault> {
        // Line breaks are possible only between the parts of an object.
        let text = Secret(line.replace(['\n', '\r'], " "));
        self.send_to_room(from, room, ToRoom::Command { member: from, text })
    }

    fn send_to_room(
        &mut self,
        from: ConnectionId,
        room: &RoomName,
        event: ToRoom,
    ) -> Result<(), Fault> {
        let is_joined = (self.sessions.get(&from)).is_some_and(|one| one.rooms.contains_key(room));
        if !is_joined {
            return Err(Fault::new(ErrorCode::NotJoined, NOT_JOINED));
        }
        self.send_over(room, event);
        Ok(())
    }

    /// Rejects a command. Too many errors close the connection.
    pub(super) fn reject(
        &mut self,
        from: ConnectionId,
        id: Option<&CommandId>,
        room: Option<&RoomName>,
        fault: &Fault,
    ) {
        self.send_fault(from, id, room, fault);
        if !fault.counts {
            return;
        }
        let now = self.now;
        let is_last =
            (self.sessions.get_mut(&from)).is_some_and(|session| session.socket.record_error(now));
        if is_last {
            self.close(from, CloseCode::TooManyErrors);
        } else {
            self.attach(from);
        }
    }

    fn send_fault(
        &mut self,
        to: ConnectionId,
        id: Option<&CommandId>,
        room: Option<&RoomName>,
        fault: &Fault,
    ) {
        let error = Push::Error {
            id,
            code: fault.code,
            message: &fault.message,
            retryable: fault.retry_after_ms.is_some(),
            retry_after_ms: fault.retry_after_ms,
            version: None,
        };
        let line = error.to_line();
        let text = room.map_or(line.clone(), |room| with_room(&line, room));
        self.outputs.push_back(Output::Send { to: vec![to], text });
    }

    /// Rejects a join, because the room's user has created too many rooms.
    pub(super) fn reject_creation(
        &mut self,
        to: ConnectionId,
        id: Option<&CommandId>,
        room: &RoomName,
    ) {
        let fault = Fault::from(&Refusal::RateLimited { seconds: 1 });
        self.send_fault(to, id, Some(room), &fault);
    }

    /// Closes a connection that sent too long a command or frame.
    pub(super) fn close_too_large(&mut self, from: ConnectionId) {
        let message = "the command or frame exceeds its size limit";
        self.reject(from, None, None, &Fault::new(ErrorCode::TooLarge, message));
        self.close(from, CloseCode::MessageTooBig);
    }
}

fn read_room(raw: &RawValue) -> Result<RoomName, Fault> {
    let name: Option<Cow<'_, str>> = serde_json::from_str(raw.get()).ok();
    let room = name.and_then(|name| RoomName::parse(&name));
    room.ok_or_else(|| Fault {
        counts: true,
        ..Fault::from(&Refusal::BadRoom)
    })
}

fn read_options(fields: &JoinFields<'_>) -> Result<JoinOptions, Fault> {
    let bad = |message| Fault::new(ErrorCode::BadCommand, message);
    let is_epoch = |epoch: &String| (1..=EPOCH_BYTES_MAX).contains(&epoch.len());
    if fields.epoch.as_ref().is_some_and(|epoch| !is_epoch(epoch)) {
        return Err(bad("'epoch' must have 1 to 64 bytes"));
    }
    let is_beyond = |number: u64| number > SAFE_INTEGER_MAX;
    if fields.offset.is_some_and(|offset| is_beyond(offset.0)) || fields.last.is_some_and(is_beyond)
    {
        return Err(bad("'offset' and 'last' must be at most 2^53-1"));
    }
    let resume = match (&fields.epoch, fields.offset) {
        (Some(epoch), Some(offset)) => Some(Position {
            epoch: epoch.clone(),
            offset,
        }),
        (None, None) => None,
        _ => return Err(bad("'epoch' and 'offset' must be given together")),
    };
    let full = JoinOptions {
        lines: true,
        echo: fields.echo.unwrap_or(true),
        presence: fields.presence.unwrap_or(true),
        resume,
        last: fields.last,
        mode: Mode::Full,
    };
    match fields.mode.as_deref() {
        None | Some("full") => Ok(full),
        // It receives neither messages nor presence, so there is nothing to replay.
        Some("badge") => Ok(JoinOptions {
            presence: false,
            resume: None,
            last: None,
            mode: Mode::Badge,
            ..full
        }),
        Some(_) => Err(bad("'mode' must be \"full\" or \"badge\"")),
    }
}

/// Returns the id and the room of a line that is rejected, as far as it has valid ones.
fn id_and_room(line: &str) -> (Option<CommandId>, Option<RoomName>) {
    #[derive(Deserialize)]
    struct OnlyRoom {
        room: Option<RoomName>,
    }
    let room = serde_json::from_str(line).ok();
    let room = room.and_then(|only: OnlyRoom| only.room);
    (CommandId::find(line), room)
}
