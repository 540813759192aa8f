//! A room as a state machine: its connections, its members, and what each input changes.

mod actor;
mod api;
mod badges;
pub mod bans;
mod change;
mod classes;
mod close;
pub mod closing_socket;
mod commands;
pub mod connection;
pub mod ended_tokens;
mod erase;
mod flush_window;
mod history;
mod intake;
pub mod io;
mod join;
mod kick;
mod linked;
mod messages;
mod outbox;
pub mod presence;
mod presence_diff;
mod publish;
mod publish_hook;
mod reactions;
mod reading;
pub(crate) mod refresh;
mod removal;
mod replies;
mod roster;
pub(crate) mod slow_consumers;
pub mod subscription;
mod sweep;
mod threads;
mod timers;
pub mod user_entries;
mod user_messages;
mod user_rates;
mod webhooks;

use std::{collections::VecDeque, rc::Rc};

use crate::{
    backend::api::ApiRequestId,
    config::RoomRules,
    fan_out::Audience,
    ids::{ConnectionId, RoomName, TaskId, Timestamp, UserId},
    link::{Via, event::ToGateway},
    protocol::{command::CommandId, error::CloseCode, frame::Frame},
    rate::Bucket,
    room::{
        bans::Bans,
        closing_socket::ClosingSocket,
        connection::Connection,
        ended_tokens::EndedTokens,
        flush_window::{FlushWindow, PresenceWindow},
        io::{Input, Output, RestoredSocket},
        presence::Arrival,
        user_entries::UserEntries,
    },
    storage::store::{RoomSnapshot, Store},
};

pub use self::timers::Wake;

use self::{
    api::Callers, linked::Linked, messages::Messages, outbox::Outbox, presence_diff::PresenceDiff,
    publish_hook::PublishHookQueue, reading::Reading, roster::Roster, user_rates::UserRates,
    webhooks::WebhookQueue,
};

/// A room: a state machine without a clock or randomness. Its [`Store`] is its only I/O.
///
/// After each [`Self::handle_input`], call [`Self::poll_output`] until it returns `None`. The room does its
/// work there, step by step, so that the texts of one flush are sent before the next one is made.
#[derive(Debug)]
pub struct Room<S> {
    name: RoomName,
    store: S,
    rules: Rc<RoomRules>,
    messages: Messages,
    roster: Roster,
    bans: Bans,
    ended_tokens: UserEntries<EndedTokens>,
    /// The id of the next task.
    next_task: TaskId,
    /// The room's time, which never goes back.
    now: Timestamp,
    /// The clock's time, by which tokens and bans end. With `now` instead, a clock that was set
    /// back would make every new token look expired.
    clock: Timestamp,
    /// The frame whose commands are being processed.
    inbox: Option<Frame>,
    /// Members behind links.
    linked: Linked,
    /// Messages that wait for the publish hook, and the commands behind them.
    hook_queue: PublishHookQueue,
    /// True if the room will be restored after this input; see [`Output::Restart`] and [`Output::Remove`].
    is_restarting: bool,
    /// True if the room was erased, and no user has joined since.
    is_erased: bool,
    /// The time at which the room is removed; `None` while it holds anything.
    removed_at: Option<Timestamp>,
    rates: UserRates,
    /// The bucket of replayed messages, for all joining clients together.
    replays: Bucket,
    /// The rates of API callers with `serve`.
    server_rates: UserRates,
    /// API requests without a response.
    callers: Callers,
    /// Users' positions among the messages.
    reading: Reading,
    /// Webhook events.
    events: WebhookQueue,
    /// Presence changes that have not been pushed yet.
    presence_diff: PresenceDiff,
    /// The lines of the next flush.
    outbox: Outbox,
    flush_window: FlushWindow,
    presence_window: PresenceWindow,
    /// The bytes that the clients have not read; see [`Self::set_unread_bytes`].
    unread_bytes: u64,
    outputs: VecDeque<Output>,
}

/// The requester that receives a result.
#[derive(Clone, Debug)]
enum ReplyTo {
    /// A connection, in reply to its command.
    Command {
        from: ConnectionId,
        id: Option<CommandId>,
    },
    /// A request to the HTTP API.
    Api(ApiRequestId),
}

impl<S: Store> Room<S> {
    /// Builds a room from storage and the sockets' attachments: a new one, or one that wakes. `stored` is
    /// what the store holds.
    pub fn restore(
        name: RoomName,
        rules: Rc<RoomRules>,
        store: S,
        mut stored: RoomSnapshot,
        sockets: impl IntoIterator<Item = RestoredSocket>,
        now: Timestamp,
    ) -> Self {
        let notified = std::mem::take(&mut stored.events.notified);
        let members = std::mem::take(&mut stored.members);
        let linked = Linked::restore(&mut stored, now);
        let mut room = Self {
            name,
            store,
            messages: Messages::restore(&stored, rules.retention),
            roster: Roster::default(),
            bans: stored.bans.into_iter().collect(),
            ended_tokens: stored.ended_tokens.into_iter().collect(),
            next_task: stored.first_task,
            now,
            clock: now,
            inbox: None,
            linked,
            hook_queue: PublishHookQueue::default(),
            is_restarting: false,
            is_erased: false,
            removed_at: None,
            rates: UserRates::default(),
            replays: Bucket::default(),
            server_rates: UserRates::default(),
            callers: Callers::default(),
            reading: Reading::restore(stored.has_reads),
            events: WebhookQueue::restore(rules.events, stored.events, now),
            rules,
            presence_diff: PresenceDiff::default(),
            outbox: Outbox::default(),
            flush_window: FlushWindow::default(),
            presence_window: PresenceWindow::default(),
            unread_bytes: 0,
            outputs: VecDeque::new(),
        };
        for absence in stored.absences {
            room.roster.start_grace(absence);
        }
        for socket in sockets {
            if let Some(connection) = Connection::restore(&socket.attachment, Via::Socket) {
                room.add(connection, socket.answered);
            } else if let Some(closing) = ClosingSocket::restore(&socket.attachment) {
                room.roster.add_closing(socket.connection, closing);
            } else {
                room.close_unreadable(socket.connection);
            }
        }
        room.restore_linked(members);
        room.reconcile_members(notified);
        room.restore_removal(stored.alarm);
        room
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
            Input::Receive { from, text } => self.receive(from, text),
            Input::ReceiveTooLong { from } => self.close_too_large(from),
            Input::ReceiveBinary { from } => self.close(from, CloseCode::UnsupportedData),
            Input::Disconnect { connection, clean } => {
                self.roster.end_closing(connection);
                self.drop_connection(connection, clean);
            }
            Input::ApiRequest { id, request, body } => self.handle_api_request(id, request, &body),
            Input::Timeout { answered } => self.on_timeout(answered.as_ref()),
            Input::TokenChecked {
                connection,
                id,
                outcome,
            } => self.token_checked(connection, id, outcome),
            Input::HookDecided { task, decisions } => self.hook_queue.decide(task, decisions),
            Input::Call(call) => self.receive_call(call),
            Input::CallSettled { call, answer } => self.call_settled(call, answer),
            Input::Flush => self.on_elapsed(),
            Input::SlowConsumers { queued } => self.close_slow(queued),
            Input::Delivered {
                task,
                outcome,
                chance,
            } => self.events.delivered(task, outcome, chance, self.now),
        }
    }

    /// Returns the ids of the members, in order.
    pub fn member_ids(&self) -> impl Iterator<Item = &UserId> {
        self.roster.presence().users()
    }

    /// Returns the store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the store, mutably.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Returns the next output; `None` if the input is fully processed.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.step() {}
        self.outputs.pop_front()
    }

    /// Takes the next step; returns false if nothing is left to do now.
    ///
    /// The order of the steps is the order of what clients see:
    ///
    /// 1. A full outbox is flushed before anything is added to it, so that its memory is bounded.
    /// 2. Decisions of the publish hook come before later commands of the same connection.
    /// 3. The commands of a frame come one after another, and so do the events of a gateway.
    /// 4. What they have left in the outbox is flushed, at once or when the flush window ends.
    /// 5. Gateways are called with their sessions' lines of the flush.
    /// 6. The back end is called last, about what is stored and sent.
    fn step(&mut self) -> bool {
        self.flush_if_full()
            || self.apply_next_decision()
            || self.handle_next_line()
            || self.handle_next_event()
            || self.flush_if_due()
            || self.call_next_gateway()
            || self.call_back_end()
            || self.end_turn()
    }

    /// Flushes if the next message or command would not fit the outbox; returns false if it fits.
    fn flush_if_full(&mut self) -> bool {
        if self.inbox.is_none() {
            self.inbox = self.hook_queue.next_frame();
        }
        let next_len = self.inbox.as_ref().map(Frame::next_len);
        let more = self
            .hook_queue
            .next_len()
            .or(next_len)
            .or(self.linked.next_len());
        let is_full = self.outbox.is_full(more.unwrap_or_default());
        if is_full {
            self.flush();
        }
        is_full
    }

    /// Flushes if it is time; returns false if it is not, or if nothing waits.
    fn flush_if_due(&mut self) -> bool {
        if self.is_restarting && self.reading.sends_at().is_some() {
            self.send_reading();
        }
        let is_due = if self.is_restarting {
            // Waiting lines would be lost, and positions that were not sent yet.
            !self.outbox.is_empty() || !self.presence_diff.is_empty()
        } else if self.outbox.is_empty() {
            self.flush_window.on_idle(self.now);
            let is_open = self.flush_window.open_until().is_some();
            !self.presence_diff.is_empty() && !is_open && self.presence_window.from() <= self.now
        } else {
            let shared_lines = self.outbox.shared_lines();
            self.outbox.is_urgent() || self.flush_window.request_flush(shared_lines, self.now)
        };
        if is_due {
            self.flush();
        }
        is_due
    }

    /// Takes the next step toward the publish hook or the webhook receiver; returns false if there is
    /// none.
    fn call_back_end(&mut self) -> bool {
        !self.is_restarting && (self.call_publish_hook() || self.advance_webhooks())
    }

    /// Prepares for the next input. Returns false: there is no further step.
    fn end_turn(&mut self) -> bool {
        self.events.end_turn();
        self.keep_members();
        self.note_calls();
        self.schedule_removal();
        false
    }

    /// Returns the milliseconds until [`Input::Flush`] is due; `None` if nothing waits for a flush.
    ///
    /// If the room is lost before then, so are the waiting lines, which no client has seen yet.
    pub fn poll_flush(&self) -> Option<u64> {
        let due = [
            self.flush_at(),
            self.linked.quiet_from(),
            self.reading.sends_at(),
        ];
        let due = due.into_iter().flatten().min()?;
        Some(due.ms_since(self.now))
    }

    fn flush_at(&self) -> Option<Timestamp> {
        let presence = (!self.presence_diff.is_empty()).then(|| self.presence_window.from());
        self.flush_window.open_until().or(presence)
    }

    /// Ends the flush window, whatever the clock shows: the Worker's timer has fired, and it was not for
    /// something earlier.
    fn on_elapsed(&mut self) {
        let quiet_from = self.linked.quiet_from();
        let is_first =
            |at: Timestamp, other: Option<Timestamp>| other.is_none_or(|other| at < other);
        if let Some(at) = self.reading.sends_at()
            && is_first(at, self.flush_at())
            && is_first(at, quiet_from)
        {
            return self.send_reading();
        }
        if quiet_from.is_some_and(|at| self.flush_at().is_none_or(|flush| at < flush)) {
            return;
        }
        // They may be due at the same time.
        self.send_reading_if_due();
        if self.flush_window.open_until().is_none() {
            self.presence_window.on_elapsed();
        }
        self.flush_window
            .on_elapsed(self.outbox.shared_lines(), self.now);
    }

    fn add(&mut self, mut connection: Connection, answered: Option<Timestamp>) -> Arrival {
        let shared = self
            .rates
            .commands_of(&connection.subscription.user, self.now);
        shared.merge(&connection.subscription.bucket);
        connection.subscription.bucket = shared;
        self.roster.add(connection, answered, &self.rules)
    }

    /// Writes what has changed of a connection to its attachment.
    pub(super) fn attach(&mut self, id: ConnectionId) {
        let Some(connection) = self.roster.get(id) else {
            return;
        };
        match connection.session.via {
            Via::Socket => {
                let attachment = connection.attachment();
                self.outputs.push_back(Output::Attach {
                    connection: id,
                    attachment,
                });
            }
            Via::Link(_) => self.linked.record_change(id),
        }
    }

    /// Sends a line to one connection at once, before what waits in the outbox.
    fn send_at_once(&mut self, to: ConnectionId, text: Rc<str>) {
        match self.roster.get(to).map(|one| one.session.via) {
            Some(Via::Socket) => self.outputs.push_back(Output::Send { to: vec![to], text }),
            Some(Via::Link(link)) => {
                let to = Audience::one(to);
                self.linked.send(link, ToGateway::Line { to, text });
            }
            None => {}
        }
    }
}
