//! Processing of commands.

use std::{borrow::Cow, collections::BTreeSet, rc::Rc};

use serde_json::value::RawValue;

use super::{
    Frame, ReplyTo, Room, actor::Actor, fan_out::Audience, kick::Kick, publish::Publication,
    publish_hook::Scheduling,
};
use crate::{
    Capability,
    ids::{ConnectionId, UserId},
    limits::{FRAME_BYTES_MAX, QUEUE_CHECK_MS, REFRESH_BYTES_MAX},
    protocol::{
        command::{BadCommand, Command, CommandId},
        error::{CloseCode, ErrorCode},
        json,
        push::{Push, reply_line},
    },
    reply::Reply,
    room::{connection::Throttled, io::Output},
    storage::store::Store,
};

/// The `retry_after_ms` of errors that are retryable.
const RETRY_MS: u64 = 1000;

const NOT_GRANTED: &str = "the token does not grant the capability that this command needs";
const HOOK_QUEUE_FULL: &str = "too many messages await the publish hook; try again later";

const TOO_MUCH_UNREAD: &str = "the room's clients leave too much unread; try again later";

impl<S: Store> Room<S> {
    /// Accepts a frame, whose commands are processed one by one as outputs are polled.
    pub(super) fn receive(&mut self, from: ConnectionId, text: String) {
        let Some(connection) = self.connections.get_mut(&from) else {
            return;
        };
        if connection.record_activity(&self.rules, self.now) {
            self.attach(from);
        }
        if text.len() > FRAME_BYTES_MAX {
            self.close_too_large(from);
            return;
        }
        if let Some(connection) = self.connections.get(&from) {
            let frame = Frame::new(from, text, connection.wire());
            if self.hook_queue.has_frames_of(from) {
                self.queue_frame(frame, false);
            } else {
                self.inbox = Some(frame);
            }
        }
    }

    /// Queues a frame behind its connection's messages. If the queue is full, the frame's commands
    /// are rejected.
    fn queue_frame(&mut self, frame: Frame, has_begun: bool) {
        let queued = self.hook_queue.queue_frame(frame, has_begun);
        self.inbox = queued.err().map(Frame::rejected);
    }

    /// Processes the next command of the frame; returns false if there is none.
    pub(super) fn handle_next_line(&mut self) -> bool {
        let Some(mut frame) = self.inbox.take() else {
            return false;
        };
        let (from, is_rejected, start) = (frame.from, frame.is_rejected, frame.next_start());
        let Some(line) = frame.next_line() else {
            return true;
        };
        let scheduling = if is_rejected {
            Scheduling::Never
        } else {
            self.scheduling_of(from, line)
        };
        match scheduling {
            Scheduling::Now => self.handle_line(from, line),
            Scheduling::Later => {
                frame.go_back(start);
                self.queue_frame(frame, true);
                return true;
            }
            Scheduling::Never => {
                self.reject_overload(from, line);
                // Reject the rest of the frame too: it must not overtake this command's retry.
                frame = frame.rejected();
            }
        }
        if self.connections.contains_key(&from) {
            self.inbox = Some(frame);
        }
        true
    }

    fn reject_overload(&mut self, from: ConnectionId, line: &str) {
        if let Some(connection) = self.connections.get_mut(&from) {
            let throttled = connection.throttle(RETRY_MS);
            let id = CommandId::find(line);
            self.throttle(from, id.as_ref(), throttled, HOOK_QUEUE_FULL);
        }
    }

    fn handle_line(&mut self, from: ConnectionId, line: &str) {
        let Some(connection) = self.connections.get_mut(&from) else {
            return;
        };
        if line.len() > connection.message_bytes_max
            && (line.len() > REFRESH_BYTES_MAX || !Command::is_refresh(line))
        {
            self.close_too_large(from);
            return;
        }
        match connection.take(self.now) {
            Ok(true) => self.attach(from),
            Ok(false) => {}
            Err(throttled) => {
                let id = CommandId::find(line);
                return self.throttle(from, id.as_ref(), throttled, "too many commands");
            }
        }
        match Command::parse(line) {
            Ok((id, command)) => self.handle_command(from, id, command),
            Err(BadCommand { id, code, message }) => self.refuse(from, id.as_ref(), code, message),
        }
    }

    fn handle_command(&mut self, from: ConnectionId, id: Option<CommandId>, command: Command<'_>) {
        let needed = match command {
            Command::Publish { .. } => Capability::Publish,
            Command::Signal { .. } => Capability::Signal,
            Command::State { .. } | Command::Members => Capability::Presence,
            Command::History(_) => Capability::History,
            Command::Kick { .. } => Capability::Moderate,
            // A refresh needs no capability.
            Command::Refresh { token } => return self.refresh(from, id, token),
            Command::Ping => return self.reply(from, &Push::Pong { id: id.as_ref() }),
        };
        if !self
            .connections
            .get(&from)
            .is_some_and(|connection| connection.can.has(needed))
        {
            return self.refuse(from, id.as_ref(), ErrorCode::Forbidden, NOT_GRANTED);
        }
        self.record_use(from);
        match command {
            Command::Publish { data, event, key } => {
                let data = Cow::Borrowed(data);
                let publication = Publication {
                    data,
                    event,
                    key,
                    time: None,
                };
                self.publish(from, id, publication);
            }
            Command::Signal { data, event, to } => {
                self.signal(from, data, event.as_deref(), to.as_deref());
                self.reply_with(from, id.as_ref(), &Reply::Done);
            }
            Command::State { data } => {
                self.set_state(from, data);
                self.reply_with(from, id.as_ref(), &Reply::Done);
            }
            Command::History(_) if self.has_too_much_unread() => {
                let throttled = Throttled {
                    retry_after_ms: QUEUE_CHECK_MS,
                    is_flood: false,
                };
                self.throttle(from, id.as_ref(), throttled, TOO_MUCH_UNREAD);
            }
            Command::Members => self.list_members(&ReplyTo::Command { from, id }),
            Command::History(request) => {
                self.send_page(&ReplyTo::Command { from, id }, request);
            }
            Command::Kick {
                user,
                reason,
                ban_seconds,
            } => {
                let Some(connection) = self.connections.get(&from) else {
                    return;
                };
                let kick = Kick {
                    user,
                    reason: reason.map(Cow::into_owned),
                    by: Actor::from(connection),
                };
                self.kick(ReplyTo::Command { from, id }, kick, ban_seconds);
            }
            Command::Refresh { .. } | Command::Ping => {}
        }
    }

    /// Records that a command shows that the room is in use. A `refresh` or a `ping` does not, because
    /// clients send them by themselves.
    fn record_use(&mut self, from: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&from) else {
            return;
        };
        let before = connection.active;
        if connection.record_use(self.now) {
            self.sweeps.record_activity(connection, before);
            self.attach(from);
        }
    }

    fn signal(
        &mut self,
        from: ConnectionId,
        data: &RawValue,
        event: Option<&str>,
        to: Option<&[UserId]>,
    ) {
        self.flush_presence();
        let Some(connection) = self.connections.get(&from) else {
            return;
        };
        let text = Push::Signal {
            user: &connection.user,
            connection: from,
            event,
            data: &json::one_line(data),
        }
        .to_line();
        let to = match to {
            None => Audience::Messages { except: Some(from) },
            Some(users) => {
                let users: BTreeSet<_> = users.iter().collect();
                let ids = users
                    .into_iter()
                    .flat_map(|user| self.presence.connections_of(user))
                    .filter(|id| *id != from)
                    .filter(|id| {
                        self.connections
                            .get(id)
                            .is_some_and(|one| one.receives_messages())
                    });
                Audience::these(ids)
            }
        };
        self.outbox.push_line(to, text);
    }

    fn set_state(&mut self, from: ConnectionId, data: &RawValue) {
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.state = Some(Rc::from(json::one_line(data).into_owned()));
            let user = connection.user.clone();
            self.outbox.reserve(data.get().len());
            self.presence.touch(&user);
            self.presence_diff.show(user, from);
            self.attach(from);
        }
    }

    pub(super) fn list_members(&mut self, reply_to: &ReplyTo) {
        let list = self.presence.list(&self.connections);
        self.answer(reply_to, Ok(Reply::Members(list)));
    }

    fn throttle(
        &mut self,
        from: ConnectionId,
        id: Option<&CommandId>,
        throttled: Throttled,
        message: &str,
    ) {
        self.reply(
            from,
            &Push::Error {
                id,
                code: ErrorCode::RateLimited,
                message,
                retryable: ErrorCode::RateLimited.is_retryable(),
                retry_after_ms: Some(throttled.retry_after_ms),
            },
        );
        if throttled.is_flood {
            self.close(from, CloseCode::TooManyErrors);
        }
    }

    pub(super) fn refuse(
        &mut self,
        from: ConnectionId,
        id: Option<&CommandId>,
        code: ErrorCode,
        message: &str,
    ) {
        let retry_after_ms = code.is_retryable().then_some(RETRY_MS);
        let retryable = code.is_retryable();
        self.reply(
            from,
            &Push::Error {
                id,
                code,
                message,
                retryable,
                retry_after_ms,
            },
        );
        if !code.counts() {
            return;
        }
        let is_last = self
            .connections
            .get_mut(&from)
            .is_some_and(|one| one.record_error(self.now));
        if is_last {
            self.close(from, CloseCode::TooManyErrors);
        } else {
            self.attach(from);
        }
    }

    pub(super) fn close_too_large(&mut self, from: ConnectionId) {
        self.refuse(
            from,
            None,
            ErrorCode::TooLarge,
            "the command or frame exceeds its size limit",
        );
        self.close(from, CloseCode::MessageTooBig);
    }

    /// Replies with the result of a command. A list, which can be much longer than its command, counts
    /// toward the rate.
    pub(super) fn reply_with(&mut self, to: ConnectionId, id: Option<&CommandId>, reply: &Reply) {
        let Some(text) = reply_line(id, reply) else {
            return;
        };
        let is_list = matches!(reply, Reply::Members(_) | Reply::History(_));
        if is_list {
            self.count_unread(text.len());
        }
        let charged = is_list
            && (self.connections.get_mut(&to)).is_some_and(|one| one.charge(text.len(), self.now));
        self.outbox.push_line(Audience::one(to), text);
        if charged {
            self.attach(to);
        }
    }

    pub(super) fn reply(&mut self, to: ConnectionId, reply: &Push<'_>) {
        self.outbox.push_line(Audience::one(to), reply.to_line());
    }

    pub(super) fn attach(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(&id) {
            let attachment = connection.attachment();
            self.outputs.push_back(Output::Attach {
                connection: id,
                attachment,
            });
        }
    }
}
