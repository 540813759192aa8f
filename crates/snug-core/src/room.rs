//! A room: who is connected, who is here, and what happens on each event.

mod commands;
mod frame;
mod history;
mod publish;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use crate::{
    command::{CommandId, PageRequest},
    config::RoomRules,
    connection::{ClosingSocket, Connection},
    door::{Admission, SUBPROTOCOL},
    error::CloseCode,
    ids::{ConnectionId, Epoch, Offset, RoomName, Timestamp, UserId},
    io::{Input, KeptSocket, Output, Stored, StoredMessage},
    keys::Keys,
    presence::{Absence, Arrival, Departure, Presence},
    push::{PresenceChange, Push, StateChange, Welcome},
    refusal::Refusal,
};

use self::{frame::Frame, publish::Publication};

/// A room as a state machine: no I/O, no clock, no randomness.
///
/// After each [`Self::handle_input`], [`Self::poll_output`] is drained before the next one.
/// Where it hands out an [`Output`] that asks storage, the answer is the next input and goes
/// in before the next poll.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    rules: Rc<RoomRules>,
    epoch: Epoch,
    newest: Offset,
    newest_time: Timestamp,
    /// The bytes of all messages of the epoch, removed ones too.
    bytes: u64,
    /// The idempotency keys, once they were needed.
    keys: Option<Keys>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Sockets that were closed from here and are not gone yet.
    closing: BTreeMap<ConnectionId, ClosingSocket>,
    presence: Presence,
    /// When to look for silent sockets; `None` while there are none at all.
    sweep_at: Option<Timestamp>,
    now: Timestamp,
    /// The frame that is being worked through.
    inbox: Option<Frame>,
    /// What storage was asked.
    asked: Option<Asked>,
    /// What the input has changed in presence, to be told at its end.
    change: Change,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Asked {
    Append {
        from: ConnectionId,
        id: Option<CommandId>,
        message: StoredMessage,
        announcement: Rc<str>,
    },
    Keys {
        from: ConnectionId,
        id: Option<CommandId>,
        publication: Publication<'static>,
    },
    Page {
        from: ConnectionId,
        id: Option<CommandId>,
        request: PageRequest,
    },
    Replay {
        to: ConnectionId,
        request: PageRequest,
        is_recovery: bool,
    },
}

#[derive(Debug, Default)]
struct Change {
    joins: Vec<UserId>,
    leaves: Vec<UserId>,
    updates: BTreeSet<(UserId, ConnectionId)>,
    /// Who caused it and need not be told.
    by: Option<ConnectionId>,
}

/// Why time is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A member's grace passes.
    Grace,
    /// Sockets may have fallen silent.
    Sweep,
}

/// Sweeps are asked for at most this many times in an idle timeout, however many sockets fall
/// silent one after another: each looks at every socket.
const SWEEPS_PER_IDLE_TIMEOUT: u64 = 10;

impl Room {
    /// A room as storage and the sockets' attachments have it: new, or awake again.
    pub fn restore(
        name: RoomName,
        rules: Rc<RoomRules>,
        stored: Stored,
        sockets: impl IntoIterator<Item = KeptSocket>,
        now: Timestamp,
    ) -> Self {
        let mut room = Self {
            name,
            rules,
            epoch: stored.epoch,
            newest: stored.newest,
            newest_time: stored.newest_time,
            bytes: stored.bytes,
            keys: None,
            connections: BTreeMap::new(),
            closing: BTreeMap::new(),
            presence: Presence::default(),
            sweep_at: None,
            now,
            inbox: None,
            asked: None,
            change: Change::default(),
            outputs: VecDeque::new(),
        };
        for absence in stored.absences {
            room.presence.await_return(absence);
        }
        for socket in sockets {
            if let Some(connection) = Connection::restore(&socket.attachment) {
                room.add(connection, socket.answered);
            } else if let Some(closing) = ClosingSocket::restore(&socket.attachment) {
                room.closing.insert(socket.connection, closing);
            } else {
                room.say_closing(socket.connection, None, CloseCode::StateLost);
            }
        }
        room
    }

    /// Whether there is room for one more connection of this user.
    ///
    /// # Errors
    ///
    /// `too_many_connections`, `room_full`.
    pub fn admits(&self, user: &UserId) -> Result<(), Refusal> {
        let closing = self
            .closing
            .values()
            .filter(|one| one.closing.as_ref() == Some(user));
        let own = self
            .presence
            .connections_of(user)
            .count()
            .saturating_add(closing.count());
        if own >= self.rules.connections_per_user_max {
            return Err(Refusal::TooManyConnections);
        }
        let all = self.connections.len().saturating_add(self.closing.len());
        if all >= self.rules.connections_max {
            return Err(Refusal::RoomFull);
        }
        Ok(())
    }

    /// Lets something happen. Total: what is wrong with it is told by an output.
    pub fn handle_input(&mut self, input: Input, now: Timestamp) {
        self.now = self.now.max(now);
        match input {
            Input::Connect {
                connection,
                admission,
            } => self.connect(connection, admission),
            Input::Receive { from, text } => self.receive(from, text),
            Input::ReceiveBinary { from } => self.close(from, CloseCode::UnsupportedData),
            Input::Disconnect { connection, clean } => {
                self.closing.remove(&connection);
                self.drop_connection(connection, clean);
            }
            Input::Timeout { answered } => self.time_out(&answered),
            Input::Appended(outcome) => self.appended(outcome),
            Input::Keys(outcome) => self.keys_read(outcome),
            Input::Page(outcome) => self.page(outcome),
        }
    }

    /// The next thing to do; `None` when the input is done with, or storage owes an answer.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.asked.is_none() && self.handle_next_line() {}
        if self.outputs.is_empty() && self.asked.is_none() {
            self.announce_change();
        }
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`], and why. `None` while nothing is due: an empty
    /// room needs no time.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Wake)> {
        let grace = self.presence.next_due().map(|at| (at, Wake::Grace));
        let sweep = self.sweep_at.map(|at| (at, Wake::Sweep));
        [grace, sweep]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    fn connect(&mut self, id: ConnectionId, admission: Admission) {
        let since = self.presence.since(&admission.user).unwrap_or(self.now);
        let options = admission.options.clone();
        let connection = Connection::new(id, admission, since, &self.rules, self.now);
        let user = connection.user.clone();
        let attachment = connection.attachment();
        self.outputs.push_back(Output::Attach {
            connection: id,
            attachment,
        });
        match self.add(connection, None) {
            Arrival::Joined => {
                self.change.joins.push(user);
                self.change.by = Some(id);
            }
            Arrival::Returned => self.outputs.push_back(Output::ForgetAbsence(user)),
            Arrival::Another => {}
        }
        self.start_with(id, &options);
    }

    fn add(&mut self, connection: Connection, answered: Option<Timestamp>) -> Arrival {
        let sweep_at = self.sweep_for(connection.silent_at(&self.rules, answered));
        self.sweep_at = Some(self.sweep_at.map_or(sweep_at, |at| at.min(sweep_at)));
        let arrival = self.presence.arrive(&connection);
        self.connections.insert(connection.id, connection);
        arrival
    }

    fn welcome(&mut self, id: ConnectionId, recovered: Option<bool>) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let sees_members = connection.can.has(crate::Capability::Presence);
        let count = self.presence.count();
        let members = sees_members.then(|| self.presence.list(&self.connections));
        let welcome = Push::Welcome(Welcome {
            protocol: SUBPROTOCOL,
            room: &self.name,
            connection: id,
            user: &connection.user,
            can: connection.can,
            epoch: &self.epoch,
            offset: self.newest,
            recovered,
            count,
            truncated: members.as_ref().is_some_and(|listed| listed.len() < count),
            members,
            expires: connection.expires,
            ping_ms: self.rules.ping_ms,
            limits: connection.limits(),
        });
        let text = welcome.to_line();
        self.outputs.push_back(Output::Send { to: vec![id], text });
    }

    fn time_out(&mut self, answered: &BTreeMap<ConnectionId, Timestamp>) {
        while let Some(user) = self.presence.take_overdue(self.now) {
            self.outputs.push_back(Output::ForgetAbsence(user.clone()));
            self.change.leaves.push(user);
        }
        let mut next = None;
        let mut silent = Vec::new();
        for connection in self.connections.values() {
            let at = connection.silent_at(&self.rules, answered.get(&connection.id).copied());
            if at <= self.now {
                silent.push(connection.id);
            } else {
                next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
            }
        }
        for id in silent {
            self.close(id, CloseCode::PingTimeout);
        }
        self.sweep_at = next.map(|at| self.sweep_for(at));
    }

    /// When to sweep for a socket that has been silent for too long at `silent_at`.
    ///
    /// The steps are the clock's own and not the last sweep's, so that a room that was restored
    /// meanwhile sweeps at the same moments.
    fn sweep_for(&self, silent_at: Timestamp) -> Timestamp {
        let step_ms = self.rules.idle_timeout_ms / SWEEPS_PER_IDLE_TIMEOUT;
        let soonest = silent_at.max(self.now.plus_ms(1));
        let on_step = soonest.0.checked_next_multiple_of(step_ms);
        on_step.map_or(soonest, Timestamp)
    }

    /// Ends a connection from here.
    fn close(&mut self, id: ConnectionId, code: CloseCode) {
        if let Some(connection) = self.connections.get(&id) {
            let user = connection.user.clone();
            self.say_closing(id, Some(user), code);
            self.drop_connection(id, code.is_final());
        }
    }

    fn say_closing(&mut self, id: ConnectionId, user: Option<UserId>, code: CloseCode) {
        let closing = Push::Closing {
            code: code.number(),
            reason: code.reason(),
            reconnect: code.invites_back(),
        };
        self.outputs.push_back(Output::Send {
            to: vec![id],
            text: closing.to_line(),
        });
        let closing = ClosingSocket::new(user);
        self.outputs.push_back(Output::Close {
            connection: id,
            code,
            attachment: closing.attachment(),
        });
        self.closing.insert(id, closing);
    }

    /// Forgets a connection. Its user leaves with the last one: now, where it is known not to be
    /// back in a moment, or after the grace.
    fn drop_connection(&mut self, id: ConnectionId, at_once: bool) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if self.connections.is_empty() {
            self.sweep_at = None;
        }
        let user = connection.user.clone();
        let departure = self.presence.depart(&connection);
        if departure == Departure::Last && (at_once || self.rules.presence_grace_ms == 0) {
            self.presence.leave(&user);
            self.change.updates.retain(|(one, _)| *one != user);
            self.change.leaves.push(user);
            return;
        }
        if connection.state.is_some() {
            self.change.updates.insert((user.clone(), id));
        }
        if departure == Departure::Last {
            let absence = Absence {
                user,
                since: connection.since,
                info: connection.info,
                until: self.now.plus_ms(self.rules.presence_grace_ms),
            };
            self.presence.await_return(absence.clone());
            self.outputs.push_back(Output::KeepAbsence(absence));
        }
    }

    /// Tells those who watch presence what has changed in it, all at once.
    fn announce_change(&mut self) {
        let change = std::mem::take(&mut self.change);
        if change.joins.is_empty() && change.leaves.is_empty() && change.updates.is_empty() {
            return;
        }
        let to = self.recipients(|one| one.hears_presence() && Some(one.id) != change.by);
        let push = Push::Presence(PresenceChange {
            joins: change
                .joins
                .iter()
                .filter_map(|user| self.presence.find(user, &self.connections))
                .collect(),
            leaves: change.leaves.iter().collect(),
            updates: change
                .updates
                .iter()
                .map(|(user, id)| StateChange {
                    user,
                    connection: *id,
                    state: self
                        .connections
                        .get(id)
                        .and_then(|one| one.state.as_deref()),
                })
                .collect(),
            count: self.presence.count(),
        });
        let text = push.to_line();
        self.send(to, text);
    }

    fn recipients(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<ConnectionId> {
        self.connections
            .values()
            .filter(|one| wanted(one))
            .map(|one| one.id)
            .collect()
    }

    fn send(&mut self, to: Vec<ConnectionId>, text: Rc<str>) {
        if !to.is_empty() {
            self.outputs.push_back(Output::Send { to, text });
        }
    }
}
