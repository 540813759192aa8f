//! A gateway as a state machine: it holds the sessions of many users, each of which may be in many rooms.
//!
//! A gateway knows nothing of what happens in a room. It checks what belongs to the connection (the token,
//! the pings, the rate, the form of commands), passes commands on over the room's link, and sends the lines
//! that come back to the sessions for which they are.

mod close;
mod commands;
mod fault;
pub mod io;
mod lines;
mod links;
pub mod placement;
mod session;
pub mod store;
mod subscriptions;
mod timers;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use crate::{
    auth::room_guard::{RoomGuard, RoomRates},
    config::GatewayRules,
    ids::{ConnectionId, LinkId, RoomName, Timestamp, UserId},
    limits::{GATEWAY_JOIN_RATE, LINK_BEAT_MS, QUEUE_BYTES_MAX},
    link::{
        Via,
        event::{ToGateway, ToRoom},
        links::Links,
        note::BusyNote,
    },
    protocol::{
        push::{Hello, Push},
        refusal::Refusal,
    },
    rate::SharedBucket,
    room::{closing_socket::ClosingSocket, io::RestoredSocket},
};

use self::{
    io::{Input, Output, SessionAdmission},
    session::{GatewaySession, Subscription},
    store::{GatewaySnapshot, Store},
};

/// A gateway: a state machine without a clock or randomness. Its [`Store`] is its only I/O.
///
/// After each [`Self::handle_input`], call [`Self::poll_output`] until it returns `None`.
#[derive(Debug)]
pub struct Gateway<S> {
    store: S,
    rules: Rc<GatewayRules>,
    sessions: BTreeMap<ConnectionId, GatewaySession>,
    /// The connections of each user.
    users: BTreeMap<UserId, BTreeSet<ConnectionId>>,
    /// Sockets that the gateway has closed and whose disconnect has not been reported yet.
    closing: BTreeMap<ConnectionId, ClosingSocket>,
    /// The end of each session's token, soonest first.
    token_ends: BTreeSet<(Timestamp, ConnectionId)>,
    /// The rooms that sessions are in.
    rooms: BTreeMap<RoomName, Room>,
    links: Links<RoomName, ToRoom>,
    /// The tokens of `join` commands that are being checked.
    join_checks: usize,
    note: BusyNote,
    /// The places of all sessions in rooms.
    subscriptions: usize,
    /// Those among them that are not stored yet.
    unstored: usize,
    /// The events of rooms that have not been applied yet.
    incoming: VecDeque<(RoomName, VecDeque<ToGateway>)>,
    /// The rates of users who have left and may come back.
    departed: BTreeMap<UserId, (SharedBucket, SharedBucket)>,
    /// The id of the next link.
    next_link: u64,
    /// Keeps users from creating rooms without bound.
    guard: RoomGuard,
    /// The gateway's time, which never goes back.
    now: Timestamp,
    /// The clock's time, by which tokens end.
    clock: Timestamp,
    /// A time before which no session exceeds the idle timeout.
    sweep_at: Option<Timestamp>,
    /// The time of the next wake while there are links.
    beat_at: Timestamp,
    outputs: VecDeque<Output>,
}

/// A room that sessions are in.
#[derive(Debug)]
struct Room {
    link: LinkId,
    members: BTreeSet<ConnectionId>,
    /// The user whose join opened the link, and the rates for rooms that are not in use.
    opened_by: Option<(UserId, RoomRates)>,
}

impl<S: Store> Gateway<S> {
    /// Builds a gateway from storage and the sockets' attachments: a new one, or one that wakes.
    pub fn restore(
        rules: Rc<GatewayRules>,
        store: S,
        stored: GatewaySnapshot,
        sockets: impl IntoIterator<Item = RestoredSocket>,
        now: Timestamp,
    ) -> Self {
        let mut gateway = Self {
            store,
            rules,
            sessions: BTreeMap::new(),
            users: BTreeMap::new(),
            closing: BTreeMap::new(),
            token_ends: BTreeSet::new(),
            rooms: BTreeMap::new(),
            links: Links::restore(stored.links, now),
            join_checks: 0,
            note: BusyNote::new(stored.is_amid_calls),
            subscriptions: 0,
            unstored: 0,
            incoming: VecDeque::new(),
            departed: BTreeMap::new(),
            next_link: stored.first_link,
            guard: RoomGuard::new(),
            now,
            clock: now,
            sweep_at: None,
            beat_at: now.plus_ms(LINK_BEAT_MS),
            outputs: VecDeque::new(),
        };
        for socket in sockets {
            if let Some(session) = GatewaySession::restore(&socket.attachment, &gateway.rules.room)
            {
                gateway.add(session, socket.answered);
            } else if let Some(closing) = ClosingSocket::restore(&socket.attachment) {
                gateway.closing.insert(socket.connection, closing);
            } else {
                gateway.close_unreadable(socket.connection);
            }
        }
        gateway.restore_subscriptions(stored.subscriptions);
        gateway
    }

    /// Returns true if the gateway has no place for another session: the Worker tries the next one.
    pub fn is_full(&self) -> bool {
        let sockets = self.sessions.len().saturating_add(self.closing.len());
        sockets >= self.rules.connections_max
    }

    /// Checks that the claims can be kept, that the user does not have too many sessions, and that they read
    /// what they receive.
    ///
    /// `unread_bytes` is the total number of bytes queued for the user's sockets ([`Self::sockets_of`]).
    ///
    /// # Errors
    ///
    /// `token_invalid`, `too_many_connections`, `rate_limited`.
    pub fn admit(&self, admission: &SessionAdmission, unread_bytes: u64) -> Result<(), Refusal> {
        let id = ConnectionId(u64::MAX);
        let session = GatewaySession::new(id, admission.clone(), &self.rules.room, self.now);
        if !session.fits() {
            return Err(Refusal::ClaimInvalid(CLAIMS_TOO_LONG.into()));
        }
        let user = &admission.user;
        if self.sockets_of(user).count() >= self.rules.room.connections_per_user_max {
            return Err(Refusal::TooManyConnections);
        }
        if unread_bytes > QUEUE_BYTES_MAX {
            return Err(Refusal::RateLimited { seconds: 1 });
        }
        Ok(())
    }

    /// Returns the user's sockets, including those that are being closed.
    pub fn sockets_of(&self, user: &UserId) -> impl Iterator<Item = ConnectionId> {
        let closing = self.closing.iter();
        let closing = closing.filter(|(_, one)| one.closing.as_ref() == Some(user));
        let own = self.users.get(user).into_iter().flatten().copied();
        own.chain(closing.map(|(id, _)| *id))
    }

    /// Returns the store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the store, mutably.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Processes one input. Never fails: errors in the input result in outputs.
    pub fn handle_input(&mut self, input: Input, now: Timestamp) {
        self.now = self.now.max(now);
        self.clock = now;
        // A connection that has just disconnected cannot receive a `closing` push.
        if !matches!(input, Input::Disconnect { .. }) {
            self.close_expired();
        }
        match input {
            Input::Connect {
                connection,
                admission,
            } => self.connect(connection, admission),
            Input::Receive { from, text } => self.receive(from, &text),
            Input::ReceiveTooLong { from } => self.close_too_large(from),
            Input::ReceiveBinary { from } => self.close(from, crate::CloseCode::UnsupportedData),
            Input::Disconnect { connection, clean } => {
                self.closing.remove(&connection);
                self.end_session(connection, clean);
            }
            Input::Timeout { answered } => self.on_timeout(answered.as_ref()),
            Input::Call(call) => self.receive_call(call),
            Input::CallSettled {
                call,
                answer,
                found,
            } => self.call_settled(call, answer, found),
            Input::TokenChecked {
                connection,
                check,
                outcome,
            } => self.token_checked(connection, check, outcome),
            Input::Flush => {}
            Input::SlowConsumers { queued } => self.close_slow(queued),
        }
    }

    /// Returns the next output; `None` if the input is fully processed.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.send_next_lines() {}
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if let Some(call) = self.next_call() {
            return Some(Output::CallRoom(call));
        }
        self.end_turn();
        // Ending a turn may have ended a link.
        self.outputs.pop_front()
    }

    /// Returns the milliseconds until [`Input::Flush`] is due; `None` if nothing waits for it.
    pub fn poll_flush(&self) -> Option<u64> {
        self.note.quiet_from().map(|at| at.ms_since(self.now))
    }

    fn end_turn(&mut self) {
        let has_links = self.links.opened().next().is_some();
        let is_busy =
            (has_links && self.links.are_busy()) || self.join_checks > 0 || self.unstored > 0;
        if let Some(is_amid_calls) = self.note.update(is_busy, self.now) {
            self.store.note_calls(is_amid_calls);
        }
    }

    fn connect(&mut self, id: ConnectionId, admission: SessionAdmission) {
        let session = GatewaySession::new(id, admission, &self.rules.room, self.now);
        self.outputs.push_back(Output::Attach {
            connection: id,
            attachment: session.attachment(),
        });
        let hello = Push::Hello(Hello {
            protocol: crate::auth::SUBPROTOCOL,
            connection: id,
            user: &session.user,
            expires: session.socket.expires,
            ping_ms: self.rules.room.ping_ms,
            rooms_max: crate::limits::ROOMS_PER_SESSION_MAX,
            limits: session.limits(),
        });
        let text = hello.to_line();
        self.outputs.push_back(Output::Send { to: vec![id], text });
        self.add(session, None);
    }

    fn add(&mut self, mut session: GatewaySession, answered: Option<Timestamp>) {
        let rules = &self.rules.room;
        let id = session.socket.id;
        let idle = session.socket.idle_deadline(rules, answered);
        self.sweep_at = Some(self.sweep_at.map_or(idle, |at| at.min(idle)));
        self.token_ends
            .insert((session.socket.token_deadline(rules), id));
        let others = self.users.entry(session.user.clone()).or_default();
        // A user's sessions share their rates.
        let other = others.iter().find_map(|id| self.sessions.get(id));
        let rates = other.map(|one| (one.commands.clone(), one.joins.clone()));
        if let Some((commands, joins)) = rates.or_else(|| self.departed.remove(&session.user)) {
            commands.merge(&session.commands);
            joins.merge(&session.joins);
            (session.commands, session.joins) = (commands, joins);
        }
        others.insert(id);
        self.sessions.insert(id, session);
    }

    fn attach(&mut self, id: ConnectionId) {
        // Room names are stored if they would make the attachment too long.
        let unstored = self.sessions.get(&id).map(GatewaySession::unstored);
        if unstored.as_ref().is_some_and(|rooms| !rooms.is_empty())
            && self
                .sessions
                .get(&id)
                .is_some_and(|session| !session.fits())
        {
            for room in unstored.into_iter().flatten() {
                self.keep_subscription(id, &room);
            }
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            for subscription in session.rooms.values_mut() {
                subscription.is_attached = !subscription.is_stored;
            }
            self.outputs.push_back(Output::Attach {
                connection: id,
                attachment: session.attachment(),
            });
        }
    }

    /// Sends a line to one connection.
    fn send(&mut self, to: ConnectionId, push: &Push<'_>) {
        let text = push.to_line();
        self.outputs.push_back(Output::Send { to: vec![to], text });
    }

    /// Takes a join from a user's rate.
    ///
    /// # Errors
    ///
    /// The milliseconds to wait if the rate is exceeded.
    fn take_join(&mut self, id: ConnectionId) -> Result<(), u64> {
        let Some(session) = self.sessions.get(&id) else {
            return Ok(());
        };
        session.joins.take(GATEWAY_JOIN_RATE, self.now)?;
        if session.joins.outlasts_hibernation(self.now) {
            self.attach(id);
        }
        Ok(())
    }

    fn subscription_mut(&mut self, id: ConnectionId, room: &RoomName) -> Option<&mut Subscription> {
        self.sessions.get_mut(&id)?.rooms.get_mut(room)
    }
}

/// The error text of claims that the runtime cannot keep.
const CLAIMS_TOO_LONG: &str = "'rooms' and 'info' are too long for a connection with many rooms: use patterns that end in '*', or give each 'join' a token";

/// The way to every session of a gateway.
const SOCKET: Via = Via::Socket;
