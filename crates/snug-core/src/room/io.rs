//! The inputs and outputs of a room.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    auth::{Admission, token::Claims},
    backend::{
        api::{ApiRequest, ApiRequestId, ApiResponse},
        publish_hook::{Decision, HookRequest},
        webhook::{Delivery, EventRow, EventState, OldestRow, OutgoingEvent, StoredEvents},
    },
    ids::{ConnectionId, Epoch, Offset, Timestamp, UserId},
    log::LogLine,
    protocol::{command::CommandId, error::CloseCode, refusal::Refusal},
    room::{bans::Ban, ended_tokens::EndedTokens, presence::Absence},
    secret::Secret,
    storage::{
        batch::{Batch, Page},
        idempotency::{KeyFloor, StoredKey},
        retention::{Floor, OldestMessages},
    },
};

/// An event that the room has to process.
// Not `Debug`, because a frame can contain a token.
pub enum Input {
    /// A user joins: [`crate::Room::admit`] returned `Ok`, and the socket is accepted.
    Connect {
        /// The new connection's id, drawn at random.
        connection: ConnectionId,
        /// The user, its capabilities and the options of the join.
        admission: Admission,
    },
    /// A text frame arrived.
    Receive {
        /// The sender.
        from: ConnectionId,
        /// The frame.
        text: String,
    },
    /// A text frame arrived that is longer than [`crate::limits::FRAME_BYTES_MAX`].
    ReceiveTooLong {
        /// The sender.
        from: ConnectionId,
    },
    /// A binary frame arrived.
    ReceiveBinary {
        /// The sender.
        from: ConnectionId,
    },
    /// A connection has ended. If reported more than once, only the first report counts.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
        /// True if the client closed the connection on purpose, so that no grace period is needed.
        clean: bool,
    },
    /// A request to the HTTP API. Results in one [`Output::ApiResponse`], either at once or after
    /// the storage requests that it needs.
    ApiRequest {
        /// The id that the response will carry.
        id: ApiRequestId,
        /// The verified request.
        request: ApiRequest,
        /// The request's body.
        body: String,
    },
    /// The time of [`crate::Room::poll_timeout`], or any other, has been reached.
    Timeout {
        /// The time of the last ping that the runtime answered, by connection; `None` if
        /// [`crate::Room::is_sweep_due`] returned false.
        answered: Option<BTreeMap<ConnectionId, Timestamp>>,
    },
    /// The delay of [`crate::Room::poll_flush`] has passed.
    Flush,
    /// The queues of the room's sockets: one is longer than [`crate::limits::QUEUE_BYTES_MAX`], or
    /// all together were when the room last sent something, [`crate::limits::QUEUE_CHECK_MS`] ago.
    SlowConsumers {
        /// The bytes that the runtime queues, by connection. Includes sockets that are being closed.
        queued: BTreeMap<ConnectionId, u64>,
    },
    /// The result of [`Output::Append`].
    Appended(Result<(), StorageFault>),
    /// The result of [`Output::Measure`]: the page, and the size of storage in bytes.
    Measured(Result<(Page, u64), StorageFault>),
    /// The result of [`Output::Erase`]: the new epoch.
    Erased(Result<Epoch, StorageFault>),
    /// The result of [`Output::StoreEvents`].
    EventsStored(Result<(), StorageFault>),
    /// The result of [`Output::ReadEvents`].
    EventsRead(Result<Delivery, StorageFault>),
    /// The result of [`Output::Deliver`], which arrives in a later turn.
    Delivered {
        /// The sequence number of the delivery's last event.
        last: u64,
        /// The result.
        outcome: DeliveryOutcome,
        /// A random number, for the delay of the retry.
        chance: u64,
    },
    /// The result of [`Output::SettleEvents`]: the oldest row that is left.
    EventsSettled(Result<Option<OldestRow>, StorageFault>),
    /// The result of [`Output::ReadDead`]: the events, and true if there are more.
    DeadRead(Result<(Vec<String>, bool), StorageFault>),
    /// The result of [`Output::Trim`]: the oldest row that holds messages.
    Trimmed(Result<Option<OldestMessages>, StorageFault>),
    /// The result of [`Output::StoreBan`].
    BanStored(Result<(), StorageFault>),
    /// The result of [`Output::StoreEndedTokens`].
    EndedTokensStored(Result<(), StorageFault>),
    /// The result of [`Output::CheckToken`], which arrives in a later turn.
    TokenChecked {
        /// The connection that sent the token.
        connection: ConnectionId,
        /// The id of the `refresh` command.
        id: Option<CommandId>,
        /// The token's claims, or why it was rejected.
        outcome: Result<Claims, Refusal>,
    },
    /// The result of [`Output::CallPublishHook`], which arrives in a later turn.
    HookDecided {
        /// The request of that output, compared by identity.
        request: Rc<HookRequest>,
        /// The decisions; `None` if the request failed or its response was invalid.
        decisions: Option<Vec<Decision>>,
    },
    /// The result of [`Output::ReadKeys`]: the keys, oldest first.
    Keys(Result<Vec<StoredKey>, StorageFault>),
    /// The result of [`Output::ReadPage`]: the filled page.
    Page(Result<Page, StorageFault>),
}

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The back end accepted the events.
    Accepted,
    /// The back end was unreachable or rejected the delivery.
    Failed {
        /// The delay that the back end requested (`Retry-After`).
        retry_after_ms: Option<u64>,
    },
}

/// Webhook events to store, with the changes of state that belong to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventWrite {
    /// The events.
    pub row: Option<EventRow>,
    /// New events that found no place in the queue, and are dead.
    pub lost: Vec<OutgoingEvent>,
    /// The progress of deliveries, if it changed.
    pub state: Option<EventState>,
    /// Users to add to the notified members.
    pub notified: Vec<UserId>,
    /// Users to remove from the notified members.
    pub departed: Vec<UserId>,
    /// True if all dead events have to be deleted first.
    pub forgets_dead: bool,
    /// True if the stored shares are old ones, which have to be deleted first.
    pub starts_counting: bool,
    /// The users' shares of the queue that have changed.
    pub shares: Vec<(UserId, u64)>,
}

impl EventWrite {
    /// Returns true if there is nothing to store.
    pub fn is_empty(&self) -> bool {
        let has_members = !self.notified.is_empty() || !self.departed.is_empty();
        let has_dead = self.forgets_dead || !self.lost.is_empty();
        self.row.is_none() && self.state.is_none() && !has_members && !has_dead
    }
}

/// A storage request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFault;

/// An action for the Worker. Outputs have to be performed in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Replace the socket's attachment. The first one follows the connection's
    /// [`Input::Connect`].
    Attach {
        /// The socket's connection.
        connection: ConnectionId,
        /// The new attachment.
        attachment: String,
    },
    /// Store messages as one row, in one transaction with their webhook events. Reply with
    /// [`Input::Appended`].
    Append {
        /// The messages.
        batch: Batch,
        /// The events.
        events: Option<EventWrite>,
    },
    /// Messages could not be stored, perhaps because another object has taken their offsets: drop the
    /// room once this input's outputs are applied, and restore it with the next input.
    Restart,
    /// The room holds nothing any more: delete its storage and its alarm, and drop the room. The next input
    /// starts a new one.
    Remove,
    /// Store all of this in one transaction. Reply with [`Input::EventsStored`].
    StoreEvents(EventWrite),
    /// Fill a delivery, row by row from [`Delivery::start`] on, until [`Delivery::take`] returns
    /// that it is complete. Reply with [`Input::EventsRead`].
    ReadEvents(Delivery),
    /// Send the delivery to the back end. Report the result with [`Input::Delivered`].
    Deliver(Delivery),
    /// Delete the rows whose events are all settled, and store this state and these dead events.
    /// Reply with [`Input::EventsSettled`].
    SettleEvents {
        /// The progress of deliveries.
        state: EventState,
        /// Events that are given up; the HTTP API can read them.
        dead: Vec<OutgoingEvent>,
        /// The users' shares of the queue that have changed.
        shares: Vec<(UserId, u64)>,
    },
    /// Read dead events. Reply with [`Input::DeadRead`].
    ReadDead {
        /// The sequence number after which to start.
        after: u64,
        /// The largest number of events to read.
        limit: u32,
    },
    /// Fill a page, batch by batch from [`Page::start`] on, until [`Page::take`] returns that it is
    /// complete. Reply with [`Input::Page`].
    ReadPage(Page),
    /// Fill a page, and measure storage. Reply with [`Input::Measured`].
    Measure(Page),
    /// Erase messages, absences, bans, ended tokens and dead events, and start a new epoch. Reply with
    /// [`Input::Erased`].
    Erase,
    /// Respond to a request to the HTTP API.
    ApiResponse {
        /// The request's id.
        id: ApiRequestId,
        /// The response, or the refusal.
        response: Result<ApiResponse, Refusal>,
    },
    /// Read the idempotency keys: row by row, newest first, until a row is not above the bound, or there
    /// are [`crate::limits::KEYS_MAX`]. Reply with [`Input::Keys`].
    ReadKeys(KeyFloor),
    /// Delete some of the oldest rows that are entirely below the floor. Reply with
    /// [`Input::Trimmed`]. From the newest row, which determines the next offset, and from rows with keys,
    /// since the oldest remembered one, delete only the messages.
    Trim {
        /// The lower bound of retained messages.
        floor: Floor,
        /// The offset of the oldest row that holds messages. Earlier rows need not be read for them.
        oldest: Offset,
        /// The lower bound of remembered keys.
        keys: KeyFloor,
    },
    /// Check a token in the same way as for a join. Report the result with
    /// [`Input::TokenChecked`].
    CheckToken {
        /// The connection that sent the token.
        connection: ConnectionId,
        /// The id of the `refresh` command.
        id: Option<CommandId>,
        /// The token.
        token: Secret,
    },
    /// Send the request to the publish hook. Report the result with [`Input::HookDecided`].
    CallPublishHook(Rc<HookRequest>),
    /// Send one text frame to each of these connections.
    Send {
        /// The recipients.
        to: Vec<ConnectionId>,
        /// The frame.
        text: Rc<str>,
    },
    /// Close a socket, and keep this attachment with it until its disconnect is reported.
    Close {
        /// The socket's connection.
        connection: ConnectionId,
        /// The close code.
        code: CloseCode,
        /// The new attachment.
        attachment: String,
    },
    /// Write a line to the log, unless there are too many: see [`crate::log::LogSampler`].
    Log(LogLine),
    /// Store the start of a member's grace period.
    StoreAbsence(Absence),
    /// Delete the absence of a member that is back or has left.
    DeleteAbsence(UserId),
    /// Store a ban, replacing the user's previous one. Reply with [`Input::BanStored`].
    StoreBan(Ban),
    /// Delete a ban that has ended.
    DeleteBan(UserId),
    /// Store the end of a user's tokens, replacing the user's previous entry. Reply with
    /// [`Input::EndedTokensStored`].
    StoreEndedTokens(EndedTokens),
    /// Delete the entry about a user's ended tokens, which have all expired.
    DeleteEndedTokens(UserId),
}

/// A socket that outlived the room's memory.
#[derive(Clone, Debug)]
pub struct RestoredSocket {
    /// The socket's connection.
    pub connection: ConnectionId,
    /// The socket's attachment.
    pub attachment: String,
    /// The time of the last ping that the runtime answered.
    pub answered: Option<Timestamp>,
}

/// The stored state of a room.
#[derive(Clone, Debug)]
pub struct RoomSnapshot {
    /// The epoch of the offsets.
    pub epoch: Epoch,
    /// The newest message's offset; 0 if there is none.
    pub newest: Offset,
    /// The newest message's time.
    pub newest_time: Timestamp,
    /// Bytes of all messages of the epoch, as they were stored.
    pub bytes: u64,
    /// The oldest row that holds messages.
    pub oldest: Option<OldestMessages>,
    /// Members within the grace period.
    pub absences: Vec<Absence>,
    /// Banned users.
    pub bans: Vec<Ban>,
    /// Users whose tokens have been ended.
    pub ended_tokens: Vec<EndedTokens>,
    /// Webhook events, and the progress of their delivery.
    pub events: StoredEvents,
    /// The time for which the alarm is set: the current time if it is ringing, `None` if there is none.
    pub alarm: Option<Timestamp>,
}
