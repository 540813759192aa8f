//! The commands: who may send each, and what follows from it.

use std::{borrow::Cow, collections::BTreeSet, rc::Rc};

use serde_json::value::RawValue;

use super::{ReplyTo, Room, actor::Actor, kick::Kick, publish::Publication};
use crate::{
    capability::{Capabilities, Capability},
    fan_out::Audience,
    ids::{ConnectionId, UserId},
    limits::QUEUE_CHECK_MS,
    link::Via,
    protocol::{
        command::{Command, CommandId, UNKNOWN_COMMAND},
        error::ErrorCode,
        json,
        push::Push,
    },
    reply::Reply,
    room::subscription::Throttled,
    storage::store::Store,
};

const NOT_GRANTED: &str = "the token does not grant the capability that this command needs";
const NOT_LISTED: &str = "a badge has no presence state: join with the mode 'full' first";
const TOO_MUCH_UNREAD: &str = "the room's clients leave too much unread; try again later";

impl<S: Store> Room<S> {
    /// Processes a command.
    pub(super) fn handle_command(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        command: Command<'_>,
    ) {
        let Some(connection) = self.roster.get(from) else {
            return;
        };
        let is_granted = |needed| connection.subscription.can.has(needed);
        if !command.needs().is_none_or(is_granted) {
            return self.refuse(from, id.as_ref(), ErrorCode::Forbidden, NOT_GRANTED);
        }
        if command.is_use() {
            self.record_use(from);
        }
        match command {
            Command::Publish {
                data,
                event,
                key,
                re,
                mentions,
            } => {
                let data = Cow::Borrowed(data);
                let publication = Publication {
                    data,
                    event,
                    key,
                    re,
                    mentions,
                    time: None,
                };
                self.publish(from, id, publication);
            }
            Command::Change(change) => self.change(from, id, change),
            Command::React(reaction) => self.react(from, id, &reaction),
            Command::Read { offset } => self.read(from, id, offset),
            Command::Signal { data, event, to } => {
                self.signal(from, data, event.as_deref(), to.as_deref());
                self.reply_with(from, id.as_ref(), &Reply::Done);
            }
            Command::State { .. } if !self.is_listed(from) => {
                self.refuse(from, id.as_ref(), ErrorCode::BadCommand, NOT_LISTED);
            }
            Command::State { data } => {
                self.set_state(from, data);
                self.reply_with(from, id.as_ref(), &Reply::Done);
            }
            Command::History(_) | Command::Thread(_)
                if self.has_too_much_unread() || self.is_crowded(from) =>
            {
                let throttled = Throttled {
                    retry_after_ms: QUEUE_CHECK_MS,
                    is_flood: false,
                };
                self.throttle(from, id.as_ref(), throttled, TOO_MUCH_UNREAD);
            }
            Command::Members => self.list_members_for(from, id),
            Command::History(request) => {
                self.send_page(&ReplyTo::Command { from, id }, request);
            }
            Command::Thread(request) => {
                self.send_thread(&ReplyTo::Command { from, id }, request);
            }
            Command::Kick {
                user,
                reason,
                ban_seconds,
            } => {
                let Some(connection) = self.roster.get(from) else {
                    return;
                };
                let kick = Kick {
                    user,
                    reason: reason.map(Cow::into_owned),
                    by: Actor::from(connection),
                };
                self.kick(ReplyTo::Command { from, id }, kick, ban_seconds);
            }
            Command::Refresh { token } => self.refresh(from, id, token),
            Command::Leave => self.leave(from, id.as_ref()),
            Command::Ping => self.reply(from, &Push::Pong { id: id.as_ref() }),
        }
    }

    fn is_listed(&self, id: ConnectionId) -> bool {
        let connection = self.roster.get(id);
        connection.is_some_and(|one| one.subscription.is_listed())
    }

    /// Removes a member behind a link. A socket of its own leaves by its end.
    fn leave(&mut self, from: ConnectionId, id: Option<&CommandId>) {
        match self.roster.get(from).map(|one| one.session.via) {
            Some(Via::Link(link)) => self.leave_over(from, link, id),
            _ => self.refuse(from, id, ErrorCode::UnknownCommand, UNKNOWN_COMMAND),
        }
    }

    /// Records that the room is in use.
    fn record_use(&mut self, from: ConnectionId) {
        if self.roster.record_use(from, self.now) {
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
        let Some(connection) = self.roster.get(from) else {
            return;
        };
        let text = Push::Signal {
            user: &connection.subscription.user,
            connection: from,
            event,
            data: &json::one_line(data),
        }
        .to_line();
        let to = match to {
            None => Audience::Messages {
                except: [from].into_iter().collect(),
            },
            Some(users) => {
                let users: BTreeSet<_> = users.iter().collect();
                let ids = users
                    .into_iter()
                    .flat_map(|user| self.roster.presence().connections_of(user))
                    .filter(|id| *id != from)
                    .filter(|id| {
                        self.roster
                            .get(*id)
                            .is_some_and(|one| one.subscription.receives_messages())
                    });
                Audience::these(ids)
            }
        };
        self.outbox.push_line(to, text);
    }

    fn set_state(&mut self, from: ConnectionId, data: &RawValue) {
        let state = Rc::from(json::one_line(data).into_owned());
        if let Some(user) = self.roster.set_state(from, state) {
            self.outbox.reserve(data.get().len());
            self.presence_diff.show(user, from);
            self.attach(from);
        }
    }

    fn list_members_for(&mut self, from: ConnectionId, id: Option<CommandId>) {
        let can = self.roster.get(from).map(|one| one.subscription.can);
        self.list_members(&ReplyTo::Command { from, id }, can.unwrap_or_default());
    }

    pub(super) fn list_members(&mut self, reply_to: &ReplyTo, can: Capabilities) {
        let list = self.roster.list();
        let list = match can.has(Capability::Receipts) {
            true => self.with_positions(list),
            false => list,
        };
        self.answer(reply_to, Ok(Reply::Members(list)));
    }
}
