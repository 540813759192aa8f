//! What goes into a room and what comes out of it.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    auth::{Admission, token::Claims},
    backend::{
        api::{ApiRequest, ApiRequestId, ApiResponse},
        publish_hook::{Decision, HookRequest},
        webhook::{Delivery, EventRow, EventState, OldestRow, OutgoingEvent, StoredEvents},
    },
    ids::{ConnectionId, Epoch, Offset, Timestamp, UserId},
    protocol::{command::CommandId, error::CloseCode, refusal::Refusal},
    room::{bans::Ban, presence::Absence},
    secret::Secret,
    storage::{
        batch::{Batch, Page},
        idempotency::StoredKey,
        retention::Floor,
    },
};

/// Something that happened to the room.
// Not `Debug`: a frame may hold a token.
pub enum Input {
    /// Somebody was admitted ([`crate::Room::admits`] said yes), and the socket is accepted.
    Connect {
        /// The new connection's name, drawn at random.
        connection: ConnectionId,
        /// Who it is.
        admission: Admission,
    },
    /// A text frame came.
    Receive {
        /// From which connection.
        from: ConnectionId,
        /// The frame.
        text: String,
    },
    /// A binary frame came.
    ReceiveBinary {
        /// From which connection.
        from: ConnectionId,
    },
    /// A connection is gone. Only the first of several for one connection counts.
    Disconnect {
        /// Which.
        connection: ConnectionId,
        /// Whether it said goodbye, so that its user will not be back in a moment.
        clean: bool,
    },
    /// The back end asks for something over HTTP. [`Output::ApiResponse`] comes of it, at once or once
    /// storage has what it takes.
    ApiRequest {
        /// Names the call for as long as it waits.
        id: ApiRequestId,
        /// What is asked.
        call: ApiRequest,
        /// The request's body.
        body: String,
    },
    /// Time has passed: [`crate::Room::poll_timeout`]'s, or some other.
    Timeout {
        /// When the runtime last answered a ping for the room, by connection.
        answered: BTreeMap<ConnectionId, Timestamp>,
    },
    /// [`crate::Room::poll_flush`]'s moment has come.
    Flush,
    /// Sockets whose clients do not keep up: how many bytes wait for each, where it is
    /// [`crate::limits::QUEUE_BYTES_NOTED`] or more.
    SlowConsumers {
        /// Bytes by connection.
        queued: BTreeMap<ConnectionId, u64>,
    },
    /// The answer to [`Output::Append`].
    Appended(Result<(), StorageFault>),
    /// The answer to [`Output::Measure`]: the page, and what storage holds in bytes.
    Measured(Result<(Page, u64), StorageFault>),
    /// The answer to [`Output::Erase`]: the epoch that begins.
    Erased(Result<Epoch, StorageFault>),
    /// The answer to [`Output::StoreEvents`].
    EventsStored(Result<(), StorageFault>),
    /// The answer to [`Output::ReadEvents`].
    EventsRead(Result<Delivery, StorageFault>),
    /// The outcome of [`Output::Deliver`], whenever it is known: an event of its own.
    Delivered {
        /// The place of its last event.
        last: u64,
        /// What the back end made of it.
        outcome: DeliveryOutcome,
        /// A random number.
        chance: u64,
    },
    /// The answer to [`Output::SettleEvents`]: the first row that is left.
    EventsSettled(Result<Option<OldestRow>, StorageFault>),
    /// The answer to [`Output::ReadDead`]: the events, and whether there are more.
    DeadRead(Result<(Vec<String>, bool), StorageFault>),
    /// The answer to [`Output::Trim`]: the time of the oldest row that holds messages.
    Trimmed(Result<Option<Timestamp>, StorageFault>),
    /// The answer to [`Output::StoreBan`].
    BanStored(Result<(), StorageFault>),
    /// The outcome of [`Output::CheckToken`], whenever it is known: an event of its own.
    TokenChecked {
        /// Whose connection.
        connection: ConnectionId,
        /// The command.
        id: Option<CommandId>,
        /// What the token says.
        outcome: Result<Claims, Refusal>,
    },
    /// The outcome of [`Output::CallPublishHook`], whenever it is known: an event of its own.
    HookDecided {
        /// What was asked: the same one, and not only the like.
        question: Rc<HookRequest>,
        /// What the back end has said; `None` where it has said nothing that could be used.
        decisions: Option<Vec<Decision>>,
    },
    /// The answer to [`Output::ReadKeys`]: the newest [`crate::limits::IDEMPOTENCY_KEYS_MAX`], oldest first.
    Keys(Result<Vec<StoredKey>, StorageFault>),
    /// The answer to [`Output::ReadPage`]: the page, filled.
    Page(Result<Page, StorageFault>),
}

/// What came of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The back end has it.
    Taken,
    /// It was not reached, or does not want it, or not now.
    Failed {
        /// How long it asked to be left alone.
        retry_after_ms: Option<u64>,
    },
}

/// Events, and what goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventWrite {
    /// The events.
    pub row: Option<EventRow>,
    /// How far the back end has been told.
    pub state: Option<EventState>,
    /// Members that it knows to be here from now on.
    pub notified: Vec<UserId>,
    /// Members that it knows to be gone.
    pub departed: Vec<UserId>,
}

impl EventWrite {
    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        let has_members = !self.notified.is_empty() || !self.departed.is_empty();
        self.row.is_none() && self.state.is_none() && !has_members
    }
}

/// Storage did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFault;

/// Something for the shell to do. The order has a meaning: what stands first is done first.
#[derive(Clone, Debug)]
pub enum Output {
    /// Keep this attachment with the socket, in place of the one before. The first comes with the
    /// connection's own [`Input::Connect`].
    Attach {
        /// Which.
        connection: ConnectionId,
        /// What to keep.
        attachment: String,
    },
    /// Store messages as one row, with the events that tell of them, and answer with
    /// [`Input::Appended`].
    Append {
        /// The messages.
        batch: Batch,
        /// The events: both are stored, or neither is.
        events: Option<EventRow>,
    },
    /// Store all of this or nothing, and answer with [`Input::EventsStored`].
    StoreEvents(EventWrite),
    /// Fill a delivery, row by row from [`Delivery::start`] on until [`Delivery::take`] has enough,
    /// and answer with [`Input::EventsRead`].
    ReadEvents(Delivery),
    /// Send it to the back end, and tell of it with [`Input::Delivered`].
    Deliver(Delivery),
    /// Remove rows of which every event is settled, store this, and answer with
    /// [`Input::EventsSettled`].
    SettleEvents {
        /// How far the back end has been told.
        state: EventState,
        /// Events that were given up, to be kept for reading.
        dead: Vec<OutgoingEvent>,
    },
    /// Read events that were given up, and answer with [`Input::DeadRead`].
    ReadDead {
        /// Those that come after it.
        after: u64,
        /// At most so many.
        limit: u32,
    },
    /// Fill a page, batch by batch from [`Page::start`] on until [`Page::take`] has enough, and
    /// answer with [`Input::Page`].
    ReadPage(Page),
    /// Fill a page, and tell with [`Input::Measured`] how much storage holds.
    Measure(Page),
    /// Erase messages, absences, bans and dead events, begin a new epoch, and answer with [`Input::Erased`].
    Erase,
    /// ApiResponse a call.
    ApiResponse {
        /// Which.
        id: ApiRequestId,
        /// How.
        answer: Result<ApiResponse, Refusal>,
    },
    /// Read the idempotency keys that are stored, and answer with [`Input::Keys`].
    ReadKeys,
    /// Remove some of the oldest rows that hold nothing but what is below the floor, and answer
    /// with [`Input::Trimmed`]. Of the newest row, which holds the place in the stream, and of rows
    /// with a key that is remembered, remove no more than the messages.
    Trim {
        /// Where the kept messages begin.
        floor: Floor,
        /// The lowest offset whose key is remembered.
        lowest_key: Offset,
    },
    /// Check a token as the door does, and tell of it with [`Input::TokenChecked`].
    CheckToken {
        /// Whose connection.
        connection: ConnectionId,
        /// The command.
        id: Option<CommandId>,
        /// The token.
        token: Secret,
    },
    /// ApiOperation the back end about messages, and tell of it with [`Input::HookDecided`].
    CallPublishHook(Rc<HookRequest>),
    /// Send one text frame to each of these.
    Send {
        /// To whom.
        to: Vec<ConnectionId>,
        /// The frame.
        text: Rc<str>,
    },
    /// Close a socket, and keep this attachment with it until its end is reported.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        code: CloseCode,
        /// What to keep.
        attachment: String,
    },
    /// Store that a member may be back.
    StoreAbsence(Absence),
    /// The member is back, or has left.
    DeleteAbsence(UserId),
    /// Store a ban in place of the user's last one, and answer with [`Input::BanStored`].
    StoreBan(Ban),
    /// The ban is over.
    DeleteBan(UserId),
}

/// A socket that came through hibernation.
#[derive(Clone, Debug)]
pub struct RestoredSocket {
    /// Its connection.
    pub connection: ConnectionId,
    /// What was kept with it.
    pub attachment: String,
    /// When the runtime last answered a ping of its.
    pub answered: Option<Timestamp>,
}

/// What storage knows of the room.
#[derive(Clone, Debug)]
pub struct RoomSnapshot {
    /// What offsets count in.
    pub epoch: Epoch,
    /// The newest message's place; 0 where there has been none.
    pub newest: Offset,
    /// The newest message's time.
    pub newest_time: Timestamp,
    /// The bytes of all messages of the epoch, as they were stored.
    pub bytes: u64,
    /// The time of the oldest row that holds messages.
    pub oldest_time: Option<Timestamp>,
    /// Members that may be back.
    pub absences: Vec<Absence>,
    /// Users that are kept out.
    pub bans: Vec<Ban>,
    /// What the back end has been told, and what not.
    pub events: StoredEvents,
}
