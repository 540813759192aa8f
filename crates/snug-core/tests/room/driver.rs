//! `TestRoom`: a room with sockets, storage and a clock in memory. It is the only file of the room's
//! tests that uses the core's API.
//!
//! It applies outputs as the Worker does and checks each of them: frames are sent to open sockets
//! only, `welcome` is the first message, an offset is used once, and the outbox is flushed in time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

#[path = "store.rs"]
mod store;

use serde_json::{Value, json, value::RawValue};
use snug_core::{
    Admission, ApiRequest, ApiRequestId, ApiResponse, Config, ConnectionId, Input, Offset, Origin,
    Output, Refusal, Room, RoomName, RoomSnapshot, Store, TaskId, Timestamp, UserId,
    auth::{
        JoinOptions, Position,
        token::{ClaimedLimits, Claims},
    },
    backend::{
        api::ApiOperation,
        publish_hook::{Decision, HookRequest},
        webhook::{Delivery, EventRow, Lines},
    },
    config::RoomRules,
    limits::{HIBERNATION_IDLE_MS, READS_MS, WINDOW_MS_MAX},
    protocol::command::CommandId,
    room::{
        Wake,
        bans::Ban,
        ended_tokens::EndedTokens,
        io::{DeliveryOutcome, RestoredSocket},
    },
    storage::{batch::Batch, changed::ChangeWrite},
};

use store::MemoryStore;

pub const ROOM: &str = "team:7:general";
/// The room's first epoch.
pub const EPOCH: &str = "e1";

/// The clock when a test starts.
pub const START_MS: u64 = 1_800_000_000_000;

/// The default lifetime of a token.
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// The longest wait of a presence diff that waits alone, in flush windows.
const PRESENCE_WINDOWS: u64 = 100;
/// The time after which a busy room is quiet again.
pub const SETTLES_MS: u64 = 3 * PRESENCE_WINDOWS * WINDOW_MS_MAX;

/// The points of a test at which the room is dropped and restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Never.
    Awake,
    /// Before an input that follows an idle time, as the platform does.
    HibernatingWhenIdle,
    /// After every input.
    RestoredAfterEveryInput,
}

/// Runs a script against a room that stays awake, one that hibernates, and one that is restored
/// after every input. All must have the same transcript of frames, writes and closes.
#[track_caller]
pub fn scenario(script: impl Fn(&mut TestRoom)) {
    scenario_with(|_| {}, script);
}

/// Like [`scenario`], with changed rules.
#[track_caller]
pub fn scenario_with(rules: impl Fn(&mut RoomRules), script: impl Fn(&mut TestRoom)) {
    let expected = play(Life::Awake, &rules, &script);
    for life in [Life::HibernatingWhenIdle, Life::RestoredAfterEveryInput] {
        assert_same(&expected, &play(life, &rules, &script), life);
    }
}

/// Like [`scenario_with`], without the restore after every input. It is for scripts whose result
/// depends on short-lived memory, such as a rate bucket, which hibernation does not keep.
#[track_caller]
pub fn hibernating_scenario_with(rules: impl Fn(&mut RoomRules), script: impl Fn(&mut TestRoom)) {
    let expected = play(Life::Awake, &rules, &script);
    let life = Life::HibernatingWhenIdle;
    assert_same(&expected, &play(life, &rules, &script), life);
}

/// Like [`scenario`], in a room with a flush window, and without the restore after every input: a
/// restored room has no flush window open and flushes sooner.
#[track_caller]
pub fn gathering_scenario(script: impl Fn(&mut TestRoom)) {
    gathering_scenario_with(|_| {}, script);
}

/// Like [`gathering_scenario`], with changed rules.
#[track_caller]
pub fn gathering_scenario_with(rules: impl Fn(&mut RoomRules), script: impl Fn(&mut TestRoom)) {
    let gathering = |changed: &mut RoomRules| {
        changed.window_ms_max = WINDOW_MS_MAX;
        rules(changed);
    };
    hibernating_scenario_with(gathering, script);
}

/// A room with its sockets, storage and clock.
pub struct TestRoom {
    room: Room<MemoryStore>,
    life: Life,
    rules: Rc<RoomRules>,
    now: Timestamp,
    last_input: Timestamp,
    /// The time at which the flush timer fires.
    flush_at: Option<Timestamp>,
    connected: u64,
    sockets: BTreeMap<ConnectionId, Socket>,
    transcript: Vec<String>,
    ignores_closes: bool,
    alarms: usize,
    /// The number of alarms that looked for dead sockets.
    pub sweeps: usize,
    /// The number of times that the room was removed.
    pub removals: usize,
    /// New tokens that are not checked yet.
    unchecked_tokens: Vec<(ConnectionId, Option<CommandId>)>,
    /// The log's lines so far.
    pub log: Vec<String>,
    /// Deliveries without a response.
    deliveries: Vec<(TaskId, Delivery)>,
    /// The events sent since the last [`Self::take_sent_events`], including repeated ones.
    sent_events: Vec<Value>,
    /// The publish hook request without a response.
    hook_request: Option<HookCall>,
    /// The number of restorations.
    restorations: u64,
    hook_allows_at_once: bool,
    api_requests: u64,
    responses: BTreeMap<ApiRequestId, Result<ApiResponse, Refusal>>,
}

/// A call of the publish hook.
pub type HookCall = (TaskId, HookRequest);

/// A row of messages that the room appended, whether the storage accepted it or failed.
#[derive(Clone, Debug)]
pub struct AppendedRow {
    pub first: u64,
    pub count: usize,
    /// The contents of the messages that its changes have changed, as they are now.
    pub changed: String,
    pub is_stored: bool,
}

/// The client of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(ConnectionId);

impl Client {
    /// Returns the connection id as on the wire.
    pub fn id(self) -> String {
        self.0.to_string()
    }
}

/// A user's token and options for a join, and the room pattern of the token.
#[derive(Clone)]
pub struct TestUser(Admission, String);

impl TestUser {
    /// Creates a user with the default capabilities and options, and several objects per frame.
    pub fn named(user: &str) -> Self {
        Self(
            Admission {
                user: UserId::parse(user).unwrap(),
                info: None,
                can: snug_core::Capabilities::default_grant(),
                expires: Timestamp(START_MS).plus_ms(YEAR_MS),
                issued: Timestamp::default(),
                limits: ClaimedLimits::default(),
                options: JoinOptions {
                    lines: true,
                    echo: true,
                    presence: true,
                    resume: None,
                    last: None,
                    mode: Default::default(),
                },
                origin: None,
            },
            ROOM.into(),
        )
    }

    /// Joins without a subprotocol: one object per frame.
    pub fn plain(mut self) -> Self {
        self.0.options.lines = false;
        self
    }

    /// Joins or calls from a page of this origin.
    pub fn on_page(mut self, origin: &str) -> Self {
        self.0.origin = Some(Origin::new(origin));
        self
    }

    pub fn without_echo(mut self) -> Self {
        self.0.options.echo = false;
        self
    }

    pub fn without_presence(mut self) -> Self {
        self.0.options.presence = false;
        self
    }

    pub fn resuming_after(self, offset: u64) -> Self {
        self.resuming_in(EPOCH, offset)
    }

    /// Resumes after an offset of an epoch.
    pub fn resuming_in(mut self, epoch: &str, offset: u64) -> Self {
        self.0.options.resume = Some(Position {
            epoch: epoch.into(),
            offset: Offset(offset),
        });
        self
    }

    pub fn with_last(mut self, messages: u64) -> Self {
        self.0.options.last = Some(messages);
        self
    }

    pub fn with_capabilities(mut self, capabilities: &[&str]) -> Self {
        self.0.can = serde_json::from_value(json!(capabilities)).unwrap();
        self
    }

    pub fn with_info(mut self, info: Value) -> Self {
        self.0.info = Some(RawValue::from_string(info.to_string()).unwrap().into());
        self
    }

    /// Sets the room pattern of the token.
    pub fn for_room(mut self, room: &str) -> Self {
        self.1 = room.into();
        self
    }

    /// Returns the claims of the token.
    pub fn claims(self) -> Claims {
        let Self(admission, room) = self;
        let grants = BTreeMap::from([(room, admission.can)]);
        Claims {
            user: admission.user,
            expires: admission.expires,
            issued: admission.issued,
            grants: serde_json::from_value(json!(grants)).unwrap(),
            info: admission.info,
            limits: admission.limits,
        }
    }

    /// Sets the expiry of the token, in milliseconds after the start of the test.
    pub fn expiring_after_ms(mut self, ms: u64) -> Self {
        self.0.expires = Timestamp(START_MS).plus_ms(ms);
        self
    }

    /// Sets the time at which the token was issued, in milliseconds after the start of the test.
    pub fn issued_after_ms(mut self, ms: u64) -> Self {
        self.0.issued = Timestamp(START_MS).plus_ms(ms);
        self
    }

    /// Joins with a cookie session, which the application has just confirmed.
    pub fn with_session(mut self) -> Self {
        let sub = &self.0.user;
        let claims = json!({ "sub": sub, "exp": self.0.expires.0 / 1000 }).to_string();
        let claims = Claims::of_session(claims.as_bytes(), 0, Timestamp(START_MS));
        self.0.issued = claims.unwrap().issued;
        self
    }

    pub fn with_messages_per_second(mut self, most: u32) -> Self {
        self.0.limits.messages_per_second = Some(most.into());
        self
    }

    pub fn with_message_bytes(mut self, most: usize) -> Self {
        self.0.limits.message_bytes = Some(most as u64);
        self
    }
}

impl TestRoom {
    pub fn new(life: Life, rules: RoomRules) -> Self {
        let (rules, now) = (Rc::new(rules), Timestamp(START_MS));
        let mut store = MemoryStore::new();
        store.log = Some(Vec::new());
        let stored = store.stored();
        Self {
            room: Room::restore(room_name(), rules.clone(), store, stored, [], now),
            life,
            rules,
            now,
            last_input: now,
            flush_at: None,
            connected: 0,
            sockets: BTreeMap::new(),
            transcript: Vec::new(),
            ignores_closes: false,
            alarms: 0,
            sweeps: 0,
            removals: 0,
            unchecked_tokens: Vec::new(),
            log: Vec::new(),
            deliveries: Vec::new(),
            sent_events: Vec::new(),
            hook_request: None,
            restorations: 0,
            hook_allows_at_once: false,
            api_requests: 0,
            responses: BTreeMap::new(),
        }
    }

    // Joining and leaving.

    #[track_caller]
    pub fn join(&mut self, user: &str) -> Client {
        self.admit(TestUser::named(user))
    }

    #[track_caller]
    pub fn admit(&mut self, test_user: TestUser) -> Client {
        self.try_admit(test_user).expect("the room admits the user")
    }

    /// Joins, or returns the code of the refusal.
    #[track_caller]
    pub fn try_admit(&mut self, test_user: TestUser) -> Result<Client, &'static str> {
        let TestUser(admission, _) = test_user;
        self.wake();
        self.sweeps_if_due();
        let queued = self.queued_for(&admission.user);
        self.room
            .admit(&admission, queued, self.now)
            .map_err(|refusal| refusal.code())?;
        self.connected += 1;
        // Ids must not sort in the order of joining.
        let connection = ConnectionId(self.connected.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.feed(Input::Connect {
            connection,
            admission,
        });
        Ok(Client(connection))
    }

    /// Closes the connection cleanly.
    #[track_caller]
    pub fn leaves(&mut self, client: Client) {
        self.disconnects(client, true);
    }

    /// Loses the connection.
    #[track_caller]
    pub fn drops(&mut self, client: Client) {
        self.disconnects(client, false);
    }

    /// Reports the end of a connection, as the runtime does, perhaps repeatedly.
    #[track_caller]
    pub fn disconnects(&mut self, client: Client, clean: bool) {
        // A room that wakes for this event still finds the socket among the open ones.
        self.wake();
        if let Some(socket) = self.sockets.get_mut(&client.0) {
            (socket.is_open, socket.is_ending) = (false, false);
            socket.queued = 0;
        }
        self.feed(Input::Disconnect {
            connection: client.0,
            clean,
        });
    }

    // Publish hook and HTTP API.

    /// Returns the messages of the pending hook request.
    #[track_caller]
    pub fn hook_messages(&self) -> Value {
        let (_, hook_request) = self.hook_request.as_ref().expect("a pending hook request");
        let body: Value = serde_json::from_str(&hook_request.body("now")).expect("JSON");
        assert_eq!(
            (&body["type"], &body["timestamp"]),
            (&json!("room.publish"), &json!("now"))
        );
        assert_eq!(body["data"]["room"], ROOM);
        body["data"]["messages"].clone()
    }

    /// Returns the data of the messages in the pending hook request.
    #[track_caller]
    pub fn hook_data(&self) -> Vec<Value> {
        let messages = self.hook_messages();
        let messages = messages.as_array().unwrap().iter();
        messages.map(|message| message["data"].clone()).collect()
    }

    pub fn has_no_hook_request(&self) -> bool {
        self.hook_request.is_none()
    }

    /// The hook responds with these decisions.
    #[track_caller]
    pub fn hook_decides(&mut self, decisions: &[Value]) {
        let body = json!({ "decisions": decisions }).to_string();
        self.hook_responds(200, &body);
    }

    /// The hook allows all messages of the request.
    #[track_caller]
    pub fn hook_allows_all(&mut self) {
        let count = self.hook_data().len();
        self.hook_decides(&vec![json!({ "allow": true }); count]);
    }

    /// From now on, the hook allows all messages immediately.
    pub fn hook_allows_at_once(&mut self) {
        self.hook_allows_at_once = true;
    }

    /// The hook responds with this status and body.
    #[track_caller]
    pub fn hook_responds(&mut self, status: u16, body: &str) {
        let (_, hook_request) = self.hook_request.as_ref().expect("a pending hook request");
        let decisions = hook_request.read_response(status, body.as_bytes());
        self.hook_call_ends(decisions.ok());
    }

    /// The pending hook call ends, with decisions or without.
    #[track_caller]
    pub fn hook_call_ends(&mut self, decisions: Option<Vec<Decision>>) {
        let hook_request = self.hook_request.take().expect("a pending hook request");
        self.hook_call_ends_for(hook_request, decisions);
    }

    /// A hook call ends, which may be an earlier one.
    #[track_caller]
    pub fn hook_call_ends_for(&mut self, (task, _): HookCall, decisions: Option<Vec<Decision>>) {
        self.feed(Input::HookDecided { task, decisions });
    }

    /// Takes the pending hook request, without ending the call.
    #[track_caller]
    pub fn take_hook_request(&mut self) -> HookCall {
        self.hook_request.take().expect("a pending hook request")
    }

    /// Starts an API request with the user's token.
    #[track_caller]
    pub fn starts_api_request(
        &mut self,
        test_user: &TestUser,
        operation: ApiOperation,
        body: &str,
    ) -> ApiRequestId {
        self.wake();
        self.sweeps_if_due();
        let id = ApiRequestId(self.api_requests);
        self.api_requests += 1;
        let claims = test_user.clone().claims();
        let origin = test_user.0.origin.clone();
        let request = ApiRequest::admit(claims, &room_name(), operation, origin).expect("granted");
        let body = body.into();
        self.feed(Input::ApiRequest { id, request, body });
        id
    }

    /// Returns the response to an API request: status and body, or status and code of the refusal.
    #[track_caller]
    pub fn api_response(&mut self, id: ApiRequestId) -> (u16, Value) {
        match self.responses.remove(&id).expect("a response") {
            Ok(answer) => (answer.status, serde_json::from_str(&answer.body).unwrap()),
            Err(refusal) => (refusal.status(), refusal.code().into()),
        }
    }

    pub fn has_responded(&self, id: ApiRequestId) -> bool {
        self.responses.contains_key(&id)
    }

    /// Makes an API request and returns its response.
    #[track_caller]
    pub fn calls_api(
        &mut self,
        test_user: &TestUser,
        operation: ApiOperation,
        body: &str,
    ) -> (u16, Value) {
        let id = self.starts_api_request(test_user, operation, body);
        self.api_response(id)
    }

    // Webhooks.

    /// Returns the events of the latest pending delivery.
    #[track_caller]
    pub fn last_delivery(&mut self) -> Vec<Value> {
        let (_, delivery) = self.deliveries.last().expect("a delivery");
        let events = delivery.events().iter();
        events
            .map(|event| serde_json::from_str(&event.json).unwrap())
            .collect()
    }

    /// Returns all events sent since the last call, in order.
    pub fn take_sent_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.sent_events)
    }

    pub fn has_no_delivery(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The back end responds to the latest pending delivery.
    #[track_caller]
    pub fn back_end_responds(&mut self, outcome: DeliveryOutcome) {
        let (task, _) = self.deliveries.pop().expect("a delivery");
        self.feed(Input::Delivered {
            task,
            outcome,
            chance: 0,
        });
    }

    /// The back end responds to the oldest pending delivery.
    #[track_caller]
    pub fn back_end_responds_to_first(&mut self, outcome: DeliveryOutcome) {
        self.deliveries.rotate_left(1);
        self.back_end_responds(outcome);
    }

    /// Returns the events in storage, as stored.
    pub fn stored_events(&self) -> Vec<&str> {
        let rows = self.room.store().events.values();
        rows.flat_map(|row| row.lines.text().split('\n')).collect()
    }

    /// Returns the dead events in storage.
    pub fn dead_events(&self) -> Vec<&str> {
        let dead = self.room.store().dead_events.values();
        dead.map(|event| &*event.json).collect()
    }

    /// Stores another event, so that the stored events have `bytes` more bytes.
    pub fn fills_event_storage(&mut self, bytes: u64) {
        let stored = self.room.store().stored().events;
        let line = r#"{"time":1}"#;
        self.room.store_mut().append_events(EventRow {
            first: stored.newest + 1,
            count: 1,
            time: self.now,
            bytes_before: stored.bytes + bytes - line.len() as u64,
            lines: Lines::Events(line.into()),
        });
        self.restore();
    }

    // Sending.

    /// Publishes a message without an `id`, so without an ack.
    #[track_caller]
    pub fn publishes(&mut self, client: Client, data: impl Into<Value>) {
        self.sends(client, json!({ "type": "publish", "data": data.into() }));
    }

    /// Sends one command in a frame of its own.
    #[track_caller]
    pub fn sends(&mut self, client: Client, command: Value) {
        self.sends_text(client, &command.to_string());
    }

    /// Sends several commands in one frame.
    #[track_caller]
    pub fn sends_lines(&mut self, client: Client, commands: &[Value]) {
        let lines: Vec<_> = commands.iter().map(Value::to_string).collect();
        self.sends_text(client, &lines.join("\n"));
    }

    #[track_caller]
    pub fn sends_text(&mut self, client: Client, frame: &str) {
        self.feed(Input::Receive {
            from: client.0,
            text: frame.into(),
        });
    }

    #[track_caller]
    pub fn sends_binary(&mut self, client: Client) {
        self.feed(Input::ReceiveBinary { from: client.0 });
    }

    /// Sends a frame that is so long that the Worker does not pass it on.
    #[track_caller]
    pub fn sends_too_long(&mut self, client: Client) {
        self.feed(Input::ReceiveTooLong { from: client.0 });
    }

    /// Sends a ping that the runtime answers without waking the room.
    #[track_caller]
    pub fn pings_runtime(&mut self, client: Client) {
        let now = self.now;
        self.socket(client).answered = Some(now);
    }

    /// Sends a new token with the claims of this user.
    #[track_caller]
    pub fn refreshes(&mut self, client: Client, test_user: TestUser) {
        self.starts_refresh(client);
        self.token_is_checked(Ok(test_user.claims()));
    }

    /// Sends a new token, and leaves its check pending.
    #[track_caller]
    pub fn starts_refresh(&mut self, client: Client) {
        self.sends(
            client,
            json!({ "type": "refresh", "id": "r", "token": "…" }),
        );
    }

    /// Ends the oldest pending token check.
    #[track_caller]
    pub fn token_is_checked(&mut self, outcome: Result<Claims, Refusal>) {
        assert!(
            !self.unchecked_tokens.is_empty(),
            "no token check is pending"
        );
        let (connection, id) = self.unchecked_tokens.remove(0);
        self.feed(Input::TokenChecked {
            connection,
            id,
            outcome,
        });
    }

    // Time and faults.

    /// Lets time pass. Timers and alarms fire on time.
    #[track_caller]
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            let flush = self.flush_at.filter(|due| *due <= end);
            let timeout = self.room.poll_timeout();
            let timeout = timeout.filter(|(due, _)| *due <= end);
            match (flush, timeout) {
                (Some(due), timeout) if timeout.is_none_or(|(timeout, _)| due <= timeout) => {
                    self.now = self.now.max(due);
                    self.feed(Input::Flush);
                }
                (_, Some((due, why))) => {
                    self.now = self.now.max(due);
                    self.on_timeout();
                    let next = self.room.poll_timeout();
                    // With a hundred events, a delivery is due at once.
                    assert!(
                        next.is_none_or(|(due, next)| due > self.now || next != why),
                        "the alarm was for nothing: {next:?}"
                    );
                }
                (_, None) => break,
            }
        }
        self.now = end;
    }

    /// Lets time pass without firing an alarm that is due.
    pub fn alarm_is_late_by_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Returns true if a flush timer runs.
    pub fn is_gathering(&self) -> bool {
        self.flush_at.is_some()
    }

    /// Returns the time until the next flush.
    #[track_caller]
    pub fn gathering_ms(&self) -> u64 {
        let due = self.flush_at.expect("a flush is due");
        due.ms_since(self.now)
    }

    /// Lets time pass until the next flush.
    #[track_caller]
    pub fn flushes_once(&mut self) {
        self.pass_ms(self.gathering_ms());
    }

    /// Lets time pass until the outbox is empty.
    #[track_caller]
    pub fn flushes(&mut self) {
        assert!(self.is_gathering(), "no flush is due");
        while self.is_gathering() {
            self.flushes_once();
        }
    }

    /// Lets time pass until the room is quiet.
    #[track_caller]
    pub fn settles_unread(&mut self) {
        self.pass_ms(SETTLES_MS);
        assert!(!self.is_gathering(), "the room is not quiet");
    }

    /// Lets time pass until the room is quiet, and skips what was received.
    #[track_caller]
    pub fn settles(&mut self) {
        self.settles_unread();
        self.skips_received();
    }

    /// Settles, then publishes a message, so that the next command waits for a flush window.
    #[track_caller]
    pub fn gets_busy(&mut self, client: Client) {
        self.settles();
        self.publishes(client, "busy");
        assert!(self.is_gathering(), "the room is not busy");
        self.skips_received();
    }

    /// Reports the bytes that are queued for slow clients. Those of sockets that the room has closed
    /// since the last report are still queued, unless their ends were reported.
    #[track_caller]
    pub fn falls_behind(&mut self, queued: &[(Client, u64)]) {
        for socket in self.sockets.values_mut().filter(|one| one.is_open) {
            socket.queued = 0;
        }
        for (client, bytes) in queued {
            if let Some(socket) = self.sockets.get_mut(&client.0) {
                socket.queued = *bytes;
            }
        }
        let queued = self.sockets.iter().map(|(id, one)| (*id, one.queued));
        let queued = queued.filter(|(_, bytes)| *bytes > 0).collect();
        self.feed(Input::SlowConsumers { queued });
    }

    fn queued_for(&self, user: &UserId) -> u64 {
        let own = self.room.sockets_of(user);
        own.filter_map(|id| Some(self.sockets.get(&id)?.queued))
            .sum()
    }

    /// Fires the alarm, due or not.
    #[track_caller]
    pub fn on_timeout(&mut self) {
        self.alarms += 1;
        self.room.store_mut().alarm = Some(self.now);
        let answered = self
            .open_sockets()
            .filter_map(|(id, socket)| Some((*id, socket.answered?)))
            .collect();
        let answered = self.room.is_sweep_due(self.now).then_some(answered);
        self.sweeps += usize::from(answered.is_some());
        self.feed(Input::Timeout { answered });
    }

    /// Looks for dead sockets if there may be any, as the Worker does before a join or an API request.
    #[track_caller]
    fn sweeps_if_due(&mut self) {
        if self.room.is_sweep_due(self.now) {
            self.on_timeout();
        }
    }

    /// Returns the number of bans in storage.
    pub fn stored_bans(&self) -> usize {
        self.room.store().bans.len()
    }

    /// Stores a number of bans and restores the room.
    pub fn stores_bans(&mut self, bans: usize) {
        for number in 0..bans {
            let user = UserId::parse(&format!("banned {number}")).unwrap();
            let until = self.now.plus_ms(3_600_000);
            self.room
                .store_mut()
                .bans
                .insert(user.clone(), Ban { user, until });
        }
        self.restore();
    }

    /// Returns the number of users with ended tokens in storage.
    pub fn stored_ended_tokens(&self) -> usize {
        self.room.store().ended_tokens.len()
    }

    /// Stores the end of the tokens of a number of users for an hour, and restores the room.
    pub fn stores_ended_tokens(&mut self, users: usize) {
        for number in 0..users {
            let user = UserId::parse(&format!("signed out {number}")).unwrap();
            let ended = EndedTokens {
                user: user.clone(),
                issued_before: self.now,
                until: self.now.plus_ms(3_600_000),
            };
            self.room.store_mut().ended_tokens.insert(user, ended);
        }
        self.restore();
    }

    /// Returns the number of alarms that have fired.
    pub fn alarms(&self) -> usize {
        self.alarms
    }

    /// Returns true if the room has an alarm for anything other than trimming and its removal.
    pub fn has_alarm(&self) -> bool {
        let wake = self.room.poll_timeout();
        wake.is_some_and(|(_, why)| why != Wake::Trim && why != Wake::Removal)
    }

    /// Sets the clock back. Timers keep running.
    pub fn clock_jumps_back_ms(&mut self, ms: u64) {
        self.flush_at = self.flush_at.map(|at| Timestamp(at.0 - ms));
        self.now = Timestamp(self.now.0 - ms);
        self.last_input = self.last_input.min(self.now);
    }

    /// Makes the next storage operation fail.
    pub fn storage_fails_once(&mut self) {
        self.room.store_mut().faults = 1;
    }

    /// Makes one storage operation fail, after some that succeed.
    pub fn storage_fails_after(&mut self, operations: usize) {
        let store = self.room.store_mut();
        (store.spared, store.faults) = (operations, 1);
    }

    /// Lets all storage operations succeed from now on.
    pub fn storage_works(&mut self) {
        let store = self.room.store_mut();
        (store.spared, store.faults) = (0, 0);
    }

    /// Drops the room and restores it from storage and attachments. The platform does not do this
    /// while a flush timer runs or a hook call is pending.
    #[track_caller]
    pub fn restore(&mut self) {
        assert!(!self.is_gathering(), "dropped before a flush");
        assert!(self.hook_request.is_none(), "dropped during a hook call");
        self.restart();
    }

    #[track_caller]
    fn restart(&mut self) {
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.is_open || socket.is_ending)
            .map(|(id, socket)| RestoredSocket {
                connection: *id,
                attachment: socket.attachment.clone(),
                answered: socket.answered,
            })
            .rev()
            .collect();
        let store = std::mem::take(self.room.store_mut());
        self.restorations += 1;
        let stored = RoomSnapshot {
            first_task: TaskId(1_000_000 * self.restorations),
            ..store.stored()
        };
        self.room = Room::restore(
            room_name(),
            self.rules.clone(),
            store,
            stored,
            sockets,
            self.now,
        );
        self.apply_outputs();
        self.flush_at = self.room.poll_flush().map(|ms| self.now.plus_ms(ms));
    }

    /// Loses everything in memory: the outbox and all sockets.
    #[track_caller]
    pub fn crashes(&mut self) {
        for socket in self.sockets.values_mut() {
            (socket.is_open, socket.is_ending) = (false, false);
        }
        self.hook_request = None;
        self.restart();
    }

    /// From now on, clients do not answer a close, so the runtime reports nothing.
    pub fn ignores_closes(&mut self) {
        self.ignores_closes = true;
    }

    /// Returns the socket's attachment.
    #[track_caller]
    pub fn attachment(&mut self, client: Client) -> &mut String {
        &mut self.socket(client).attachment
    }

    /// Stores messages without sending them, as if published before the test.
    #[track_caller]
    pub fn stores_messages(&mut self, messages: impl IntoIterator<Item = Value>) {
        for data in messages {
            let offset = self.room.store().newest().next();
            let json = format!(
                r#"{{"type":"message","offset":{},"time":{},"user":"old","data":{data}}}"#,
                offset.0, self.now.0
            );
            let json = json.into();
            let (time, bytes_before) = (self.now, self.room.store().bytes());
            let batch = Batch {
                first: offset,
                count: 1,
                time,
                bytes_before,
                json,
                keys: Vec::new(),
            };
            self.room.store_mut().append_row(batch);
        }
        self.restore();
    }

    /// Deletes the rows up to an offset from storage.
    pub fn loses_rows_up_to(&mut self, offset: u64) {
        self.room
            .store_mut()
            .rows
            .retain(|first, _| first.0 > offset);
    }

    /// Returns the lengths of all frames sent to a client.
    pub fn frame_lengths(&mut self, client: Client) -> Vec<usize> {
        self.socket(client)
            .frames
            .iter()
            .map(|frame| frame.len())
            .collect()
    }

    pub fn now_ms(&self) -> u64 {
        self.now.0
    }

    /// Returns the number of messages of each row, without trimmed rows.
    pub fn stored_rows(&self) -> Vec<u64> {
        let rows = self.room.store().rows.values();
        let rows = rows.filter(|row| !row.json.is_empty());
        rows.map(|row| row.count).collect()
    }

    /// Returns the rows that the room appended since the last call.
    pub fn take_rows(&mut self) -> Vec<AppendedRow> {
        let appended = std::mem::take(&mut self.room.store_mut().appended);
        let row = |(batch, changes, is_stored): (Batch, Vec<ChangeWrite>, bool)| AppendedRow {
            first: batch.first.0,
            count: batch.count as usize,
            changed: changes.iter().map(|one| &*one.now.change).collect(),
            is_stored,
        };
        appended.into_iter().map(row).collect()
    }

    /// Returns the number of changed messages in storage.
    pub fn stored_reactions(&self) -> usize {
        self.room.store().reactions.len()
    }

    pub fn stored_replies(&self) -> usize {
        self.room.store().replies.len()
    }

    /// Ends the time for which the room gathers, if it does.
    pub fn flushes_if_gathering(&mut self) {
        while self.is_gathering() {
            self.flushes();
        }
    }

    pub fn changed_count(&self) -> usize {
        self.room.store().changed.len()
    }

    /// Returns the epoch of the offsets.
    pub fn epoch(&self) -> String {
        self.room.store().epoch().as_str().into()
    }

    /// Returns the offset of the newest entry.
    pub fn newest(&self) -> u64 {
        self.room.store().newest().0
    }

    /// Returns all texts of messages and changes in storage.
    pub fn stored_messages(&self) -> String {
        let store = self.room.store();
        let rows = store.rows.values().map(|row| row.json.to_string());
        let changed = store.changed.values().map(|one| one.change.to_string());
        rows.chain(changed).collect::<Vec<_>>().join("\n")
    }

    /// Returns the number of stored rows.
    pub fn stored_count(&self) -> usize {
        self.room.store().rows.len()
    }

    /// Returns the total size of the stored messages.
    pub fn stored_bytes(&self) -> usize {
        self.room
            .store()
            .rows
            .values()
            .map(|row| row.json.len())
            .sum()
    }

    // Receiving.

    /// Asserts that the next received object has these fields, and returns it.
    #[track_caller]
    pub fn receives(&mut self, client: Client, expected: Value) -> Value {
        let next = self.socket(client).unread.pop_front();
        match next.map(|(_, received)| received) {
            Some(received) if holds(&received, &expected) => received,
            other => {
                let next = other.map_or("nothing".into(), |received| received.to_string());
                panic!(
                    "expected {expected}\nbut received {next}\n{}",
                    self.frames_to(client)
                )
            }
        }
    }

    /// Asserts that the next received object is this message, and returns it.
    #[track_caller]
    pub fn receives_message(&mut self, client: Client, data: impl Into<Value>) -> Value {
        self.receives(client, json!({ "type": "message", "data": data.into() }))
    }

    /// Asserts that the next received frame holds exactly these objects.
    #[track_caller]
    pub fn receives_frame(&mut self, client: Client, expected: &[Value]) {
        let unread = &mut self.socket(client).unread;
        let next = unread.front().map(|(frame, _)| *frame);
        let length = unread.iter().filter(|(frame, _)| Some(*frame) == next);
        let received: Vec<_> = unread.drain(..length.count()).collect();
        let received: Value = received.into_iter().map(|(_, object)| object).collect();
        let expected = Value::from(expected);
        assert!(
            holds(&received, &expected),
            "expected a frame of {expected}\nbut received {received}\n{}",
            self.frames_to(client)
        );
    }

    /// Asserts that nothing else was received.
    #[track_caller]
    pub fn receives_nothing(&mut self, client: Client) {
        if let Some((_, received)) = self.socket(client).unread.pop_front() {
            panic!(
                "expected nothing\nbut received {received}\n{}",
                self.frames_to(client)
            );
        }
    }

    /// Asserts that the next received object is `closing`, followed by the close.
    #[track_caller]
    pub fn receives_close(&mut self, client: Client, code: u16, reason: &str) {
        let reconnect = code < 4100;
        self.receives(
            client,
            json!({ "type": "closing", "code": code, "reason": reason, "reconnect": reconnect }),
        );
        self.receives_nothing(client);
        let closed = self.socket(client).closed;
        assert_eq!(closed, Some(code), "{}", self.frames_to(client));
    }

    /// Returns everything that was received and not read yet.
    #[track_caller]
    pub fn received(&mut self, client: Client) -> Vec<Value> {
        let unread = self.socket(client).unread.drain(..);
        unread.map(|(_, received)| received).collect()
    }

    /// Returns the last frame as sent.
    #[track_caller]
    pub fn last_frame(&mut self, client: Client) -> Rc<str> {
        let frames = &self.socket(client).frames;
        frames.last().expect("a frame").clone()
    }

    /// Skips what all clients have received so far.
    pub fn skips_received(&mut self) {
        for socket in self.sockets.values_mut() {
            socket.unread.clear();
        }
    }

    pub fn is_open(&self, client: Client) -> bool {
        self.sockets
            .get(&client.0)
            .is_some_and(|socket| socket.is_open)
    }
}

struct Socket {
    attachment: String,
    has_lines: bool,
    is_open: bool,
    /// True if the room closed it and the runtime has not reported its end.
    is_ending: bool,
    closed: Option<u16>,
    /// The bytes that its client has not read.
    queued: u64,
    answered: Option<Timestamp>,
    /// The received objects that were not read yet, each with the number of its frame.
    unread: VecDeque<(usize, Value)>,
    frames: Vec<Rc<str>>,
}

impl TestRoom {
    #[track_caller]
    fn feed(&mut self, input: Input) {
        self.wake();
        let unread_bytes = self.sockets.values().map(|one| one.queued).sum();
        self.room.set_unread_bytes(unread_bytes);
        self.room.handle_input(input, self.now);
        self.apply_outputs();
        while let Some((task, hook_request)) =
            self.hook_request.take_if(|_| self.hook_allows_at_once)
        {
            let count = hook_request.body("").matches(r#"{"user":"#).count();
            let decisions = Some(vec![Decision::Allow; count]);
            let input = Input::HookDecided { task, decisions };
            self.room.handle_input(input, self.now);
            self.apply_outputs();
        }
        self.room.store_mut().alarm = self.room.poll_timeout().map(|(at, _)| at);
        let flush_ms = self.room.poll_flush();
        self.flush_at = flush_ms.map(|ms| self.now.plus_ms(ms));
        if let Some(ms) = flush_ms {
            let most_ms = (PRESENCE_WINDOWS * self.rules.window_ms_max).max(READS_MS);
            assert!((1..=most_ms).contains(&ms), "waits for {ms} ms");
        } else if self.life == Life::RestoredAfterEveryInput && !self.waits_for_back_end() {
            self.restore();
        }
    }

    /// Returns true if a request to the back end is pending, which keeps the object awake.
    fn waits_for_back_end(&self) -> bool {
        !self.deliveries.is_empty() || self.hook_request.is_some()
    }

    #[track_caller]
    fn wake(&mut self) {
        let idle_ms = self.now.ms_since(self.last_input);
        let may_hibernate = !self.waits_for_back_end() && idle_ms >= HIBERNATION_IDLE_MS;
        if self.life == Life::HibernatingWhenIdle && may_hibernate {
            self.restore();
        }
        self.last_input = self.now;
    }

    #[track_caller]
    fn apply_outputs(&mut self) {
        let mut closed = Vec::new();
        let mut restarts = false;
        loop {
            let output = self.room.poll_output();
            if let Some(calls) = &mut self.room.store_mut().log {
                self.transcript.append(calls);
            }
            let Some(output) = output else {
                break;
            };
            self.record(&output);
            match output {
                Output::Attach {
                    connection,
                    attachment,
                } => match self.sockets.get_mut(&connection) {
                    Some(socket) => socket.attachment = attachment,
                    None => {
                        self.sockets.insert(connection, Socket::new(attachment));
                    }
                },
                Output::Restart => restarts = true,
                Output::Remove => {
                    self.room.store_mut().remove();
                    self.removals += 1;
                    restarts = true;
                }
                Output::Deliver { task, delivery } => {
                    let events = delivery.events().iter();
                    let events = events.map(|event| serde_json::from_str::<Value>(&event.json));
                    self.sent_events
                        .extend(events.map(|event| event.expect("JSON")));
                    self.deliveries.push((task, delivery));
                }
                Output::Respond { id, result } => {
                    let response = result.map(|reply| ApiResponse::from(&reply));
                    let twice = self.responses.insert(id, response);
                    assert!(twice.is_none(), "two responses: {twice:?}");
                }
                Output::CheckToken { connection, id, .. } => {
                    self.unchecked_tokens.push((connection, id))
                }
                Output::CallPublishHook { task, request } => {
                    let before = self.hook_request.replace((task, request));
                    assert!(before.is_none(), "two hook requests at a time: {before:?}");
                }
                Output::Send { to, text } => self.deliver(&to, &text),
                Output::Close {
                    connection,
                    code,
                    attachment,
                } => {
                    let socket = self.sockets.get_mut(&connection).expect("a socket");
                    socket.attachment = attachment;
                    socket.is_open = false;
                    socket.closed = Some(code.number());
                    closed.push(connection);
                }
                Output::AnswerCall(_) | Output::CallGateway(_) => panic!("there is no gateway"),
                Output::Log(line) => self.log.push(line.to_json()),
            }
        }
        if restarts {
            self.restart();
        }
        if self.ignores_closes {
            for id in closed {
                self.socket(Client(id)).is_ending = true;
            }
            return;
        }
        // The runtime also reports the end of sockets that the room closed.
        for connection in closed {
            let clean = true;
            self.socket(Client(connection)).queued = 0;
            self.room
                .handle_input(Input::Disconnect { connection, clean }, self.now);
            let after = self.room.poll_output();
            assert!(
                after.is_none(),
                "output after a closed connection ended: {after:?}"
            );
        }
    }

    #[track_caller]
    fn deliver(&mut self, to: &[ConnectionId], text: &Rc<str>) {
        let distinct: BTreeSet<_> = to.iter().collect();
        assert_eq!(distinct.len(), to.len(), "sent twice: {text}");
        let objects: Vec<Value> = text
            .split('\n')
            .map(|line| serde_json::from_str(line).expect("lines are JSON"))
            .collect();
        let newest = self.room.store().highest.0;
        let is_stored = |object: &Value| object["offset"].as_u64().is_none_or(|it| it <= newest);
        assert!(objects.iter().all(is_stored), "not stored: {text}");
        for id in to {
            let socket = self.sockets.get_mut(id).expect("an accepted socket");
            assert!(socket.is_open, "sent to a closed socket: {text}");
            assert!(
                objects.len() == 1 || socket.has_lines,
                "several objects in a plain frame: {text}"
            );
            let is_welcome = objects[0]["type"] == "welcome";
            assert_eq!(
                is_welcome,
                socket.frames.is_empty(),
                "welcome first, and once"
            );
            let frame = socket.frames.len();
            let objects = objects.iter().cloned();
            socket.unread.extend(objects.map(|object| (frame, object)));
            socket.frames.push(text.clone());
        }
    }

    /// Records an output in the transcript, if it can be observed from outside.
    fn record(&mut self, output: &Output) {
        self.transcript.push(match output {
            // Attachments are internal, and a restored room counts its tasks from another number.
            Output::Attach { .. } => return,
            Output::Deliver { delivery, .. } => format!("{delivery:?}"),
            Output::CallPublishHook { request, .. } => format!("{request:?}"),
            output => format!("{output:?}"),
        });
    }

    #[track_caller]
    fn socket(&mut self, client: Client) -> &mut Socket {
        self.sockets.get_mut(&client.0).expect("an accepted socket")
    }

    fn open_sockets(&self) -> impl DoubleEndedIterator<Item = (&ConnectionId, &Socket)> {
        self.sockets.iter().filter(|(_, socket)| socket.is_open)
    }

    fn frames_to(&self, client: Client) -> String {
        let socket = &self.sockets[&client.0];
        let frames = socket.frames.iter().map(|frame| format!("  {frame}\n"));
        format!(
            "room: {:?}; all frames to {}:\n{}",
            self.life,
            client.id(),
            frames.collect::<String>()
        )
    }
}

impl Socket {
    fn new(attachment: String) -> Self {
        let kept: Value = serde_json::from_str(&attachment).expect("attachments are JSON");
        Self {
            attachment,
            has_lines: kept["lines"] == true,
            is_open: true,
            is_ending: false,
            closed: None,
            queued: 0,
            answered: None,
            unread: VecDeque::new(),
            frames: Vec::new(),
        }
    }
}

/// Returns the default rules without a flush window, so that the room sends its output to one input
/// before the next.
pub fn default_rules() -> RoomRules {
    let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32).into());
    let config = Config::read(&secret, &|_| None);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let mut rules = (*config.room).clone();
    rules.window_ms_max = 0;
    rules
}

fn room_name() -> RoomName {
    RoomName::parse(ROOM).unwrap()
}

#[track_caller]
fn play(
    life: Life,
    rules: &impl Fn(&mut RoomRules),
    script: &impl Fn(&mut TestRoom),
) -> Vec<String> {
    let mut changed = default_rules();
    rules(&mut changed);
    let mut room = TestRoom::new(life, changed);
    script(&mut room);
    room.transcript
}

#[track_caller]
fn assert_same(expected: &[String], actual: &[String], life: Life) {
    let first_difference = expected.iter().zip(actual).position(|(a, b)| a != b);
    let at = first_difference.unwrap_or(expected.len().min(actual.len()));
    let (expected, got) = (expected.get(at), actual.get(at));
    assert_eq!(expected, got, "{life:?} differs from Awake at output {at}");
}

/// Returns true if `received` has all that `expected` has. It may have more fields, not more elements.
fn holds(received: &Value, expected: &Value) -> bool {
    match (received, expected) {
        (Value::Object(received), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| received.get(name).is_some_and(|it| holds(it, value))),
        (Value::Array(received), Value::Array(expected)) => {
            received.len() == expected.len()
                && received.iter().zip(expected).all(|(a, b)| holds(a, b))
        }
        _ => received == expected,
    }
}
