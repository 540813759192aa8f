//! Every fixed limit, with its unit and its reason. The operator's settings are in
//! [`crate::config`].

use crate::{ids::Timestamp, rate::Rate};

/// The largest integer that JavaScript and its SQLite binding represent exactly: 2^53 - 1.
pub const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// A room's name.
pub const ROOM_NAME_BYTES_MAX: usize = 128;
/// A user's id.
pub const USER_BYTES_MAX: usize = 128;
/// The origin of a page, in the log and in attachments. Browsers do not send longer ones.
pub const ORIGIN_BYTES_MAX: usize = 256;
/// A token. Larger ones are rejected before anything in them is decoded.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The query of a request, which may contain a token. Longer ones are rejected before they are parsed.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// The claims in a request for a development token.
pub const CLAIMS_BYTES_MAX: usize = 4 * 1024;

// Base64url turns 3 bytes into 4. The rest of a token is short, apart from the configured issuer and
// audience.
const _: () = assert!(CLAIMS_BYTES_MAX / 3 * 4 + 1024 < TOKEN_BYTES_MAX);

/// A token's times, in seconds since 1970: the year 33658. A larger number was meant as milliseconds
/// and would make a token that never expires.
pub const TIME_SECONDS_MAX: u64 = 999_999_999_999;
/// The least length of an RSA key's modulus: 2,048 bits (RFC 7518, section 3.3).
pub const RSA_BYTES_MIN: usize = 256;
/// The greatest length, because the time of a check grows with its square.
pub const RSA_BYTES_MAX: usize = 1024;
/// The response of an identity provider with its key set.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;
/// The response of the application for a cookie session.
pub const SESSION_BYTES_MAX: usize = 16 * 1024;
/// The time for which a refusal by the application is remembered: shorter than it takes to sign in.
pub const SESSION_REFUSAL_MS: u64 = 1_000;
/// The addresses, the cookies and the refusals that an isolate remembers, each.
pub const SESSION_ASKERS_MAX: usize = 1_000;
/// The cookies of one request that are remembered.
pub const SESSION_COOKIE_BYTES_MAX: usize = 4 * 1024;
/// The timeout of either request.
pub const ANSWER_MS_MAX: u32 = 5_000;
/// A `refresh` command: a token and the JSON around it. It may exceed the connection's own limit for
/// commands.
pub const REFRESH_BYTES_MAX: usize = TOKEN_BYTES_MAX + 256;
/// A token's `info`, as JSON.
pub const INFO_BYTES_MAX: usize = 1024;
/// A presence state, as JSON.
pub const STATE_BYTES_MAX: usize = 2048;
/// A command's `id`, if it is a string.
pub const COMMAND_ID_BYTES_MAX: usize = 64;
/// A message's or signal's `event`.
pub const EVENT_BYTES_MAX: usize = 64;
/// A publish command's idempotency key.
pub const KEY_BYTES_MAX: usize = 64;
/// The earliest time that an API request can give a message, in milliseconds since 1970: March 1973.
/// A smaller number was meant as seconds.
pub const PUBLISH_TIME_MIN: Timestamp = Timestamp(100_000_000_000);
/// The characters of an unknown field or option that an error repeats.
pub const UNKNOWN_NAME_CHARS_MAX: usize = 64;
/// The time for which a room remembers an idempotency key, from the time of its message.
pub const KEY_MS_MIN: u64 = 2 * 60 * 1_000;
/// The newest messages of a room whose keys it remembers for longer.
pub const KEY_MESSAGES_MIN: u64 = 1_000;
/// The keys of one user; the oldest are forgotten first. As many as the default of
/// `SERVE_PER_SECOND` permits in [`KEY_MS_MIN`].
pub const USER_KEYS_MAX: usize = 125_000;
/// The keys of a room, about 36 MB.
pub const KEYS_MAX: usize = 1_000_000;
/// The rate at which a user without `serve` can create rooms, each of which takes 37 kB of storage.
pub const ROOMS_RATE: Rate = Rate {
    per_second: 1,
    burst: 200,
};
/// The rate of a user's requests to rooms that are not in use and stay so.
pub const UNUSED_ROOMS_RATE: Rate = Rate {
    per_second: 50,
    burst: 300,
};
/// The rate of such requests with `serve`, and of the rooms that they create.
pub const SERVE_UNUSED_ROOMS_RATE: Rate = Rate {
    per_second: 1_000,
    burst: 2_000,
};
/// The users whose rooms an isolate counts.
pub const ROOM_CREATORS_MAX: usize = 1_000;
/// The time for which a room that holds nothing any more is kept, in case it is used again.
pub const EMPTY_ROOM_MS: u64 = 60 * 60 * 1_000;
/// The time for which a room without messages keeps its offsets, from the time of the newest message.
pub const OFFSETS_MS: u64 = 24 * 60 * 60 * 1_000;
/// The recipients of one signal.
pub const SIGNAL_TO_MAX: usize = 32;
/// The messages that are counted as unread, at most.
pub const UNREAD_MAX: usize = 100;
/// The newest messages among which those are counted that a user has not read.
pub const TAIL_MESSAGES_MAX: usize = 200;
/// The newest message in a badge. A longer one is sent without its data.
pub const BADGE_LAST_BYTES_MAX: usize = 4 * 1024;
/// The time between two pushes of how far users have read, and between two badges.
pub const READS_MS: u64 = 1_000;
/// The users whom a message mentions.
pub const MENTIONS_MAX: usize = 32;
/// The content of a message in the event about a mention.
pub const MENTION_DATA_BYTES_MAX: usize = 4 * 1024;
/// The name of a reaction.
pub const REACTION_BYTES_MAX: usize = 64;
/// The different reactions to one message.
pub const REACTIONS_MAX: usize = 50;
/// The reactions of one user to one message.
pub const USER_REACTIONS_MAX: usize = 10;
/// The users that are listed with one reaction to a message.
pub const REACTION_USERS_MAX: usize = 20;
/// The users that are listed with all reactions to a message.
pub const SUMMARY_USERS_MAX: usize = 100;
/// The reason in a `kick` command.
pub const REASON_BYTES_MAX: usize = 256;
/// The longest ban: ten years of 365 days.
pub const BAN_SECONDS_MAX: u64 = 10 * 365 * 24 * 60 * 60;
/// The bans of one room. All are read at every wake.
pub const BANS_MAX: usize = 1_000;
/// The maximum number of users with ended tokens in a room. The room reads all of them when it wakes.
pub const ENDED_TOKENS_MAX: usize = 1_000;
/// The epoch that a resuming client sends.
pub const EPOCH_BYTES_MAX: usize = 64;

/// The messages of one API request, which are stored as one row. With [`FRAME_BYTES_MAX`] and the
/// overhead of each message, a row stays below the platform's 2 MB.
pub const API_MESSAGES_MAX: usize = 100;
/// The rooms to which one API request may publish.
pub const API_ROOMS_MAX: usize = 100;
/// The time in which the body of an API request has to arrive.
pub const BODY_MS_MAX: u64 = 10_000;
/// The bytes of all bodies that an isolate reads at once: an isolate has 128 MB.
pub const BODIES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The bytes that a shorter body counts, for what the runtime keeps with each request.
pub const BODY_BYTES_MIN: usize = 16 * 1024;
/// The number of users whose rates a room can always keep. With more connected users, it keeps theirs and
/// those of as many others.
pub const USER_RATES_MIN: usize = 1_000;

/// The events in one delivery.
pub const DELIVERY_EVENTS_MAX: usize = 100;
/// The bytes of one delivery, although it contains at least one event.
pub const DELIVERY_BYTES_MAX: usize = 1024 * 1024;
/// The time for which the first event of a delivery waits for others.
pub const DELIVERY_WINDOW_MS: u64 = 1_000;
/// The timeout of a delivery.
pub const DELIVERY_MS_MAX: u32 = 10_000;
/// The time after which a delivery without a result counts as lost, for example after a restart.
pub const DELIVERY_LOST_MS: u64 = 15_000;
/// The pause after the first failed delivery. It doubles with each failure.
pub const RETRY_MS_MIN: u64 = 1_000;
/// The longest pause.
pub const RETRY_MS_MAX: u64 = 15 * 60 * 1_000;
/// The longest pause that the back end can request with `Retry-After`.
pub const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;
/// The time for which an event is retried.
pub const EVENT_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// The stored bytes of events that wait for delivery: as much as the default limit of a room's history.
pub const EVENTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The bytes of waiting events from which on the room counts what each user adds: no more than it leaves
/// free for others.
pub const EVENTS_BYTES_UNCOUNTED: u64 = EVENTS_BYTES_MAX / 8;
/// The bytes of one row of events, although it contains at least one. All members of a room may
/// leave at once, and the platform limits a row to 2 MB.
pub const EVENTS_ROW_BYTES_MAX: usize = 64 * 1024;
/// The number of dead events that are kept: the newest, and of each user alike.
pub const DEAD_EVENTS_MAX: u64 = 1_000;
/// The bytes of dead events that are kept. Each counts at least one [`DEAD_EVENTS_MAX`]th.
pub const DEAD_EVENTS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The time for which dead events are kept, from the time of the newest one.
pub const DEAD_EVENTS_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// The delay from the last leave to `room.vacated`: longer than reloading a page takes.
pub const VACATED_MS: u64 = 5_000;

const _: () = assert!(DELIVERY_LOST_MS > DELIVERY_MS_MAX as u64);

/// The messages in one publish hook request.
pub const HOOK_MESSAGES_MAX: usize = 100;
/// The bytes of these messages as JSON, although a request contains at least one. Also the bytes of
/// messages and commands that may wait for decisions on one connection.
pub const HOOK_BYTES_MAX: usize = 1024 * 1024;
/// The publish hook's response.
pub const HOOK_RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The timeout of a publish hook request.
pub const HOOK_TIMEOUT_MS: u32 = 2_000;
/// The messages of a room that await a decision, including those in the current request. If the
/// back end never responds, that is four timeouts of 2 s, within the 10 s that clients wait.
pub const PENDING_MESSAGES_MAX: usize = 4 * HOOK_MESSAGES_MAX;
/// The bytes that await a decision, for all connections of a room: an isolate has 128 MB.
pub const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The bytes that each waiting message or frame counts in addition to its own.
pub const PENDING_OVERHEAD_BYTES: usize = 256;

// One connection's limit and its longest frame fit into the room's limit.
const _: () = assert!(HOOK_BYTES_MAX + FRAME_BYTES_MAX < PENDING_BYTES_MAX);

/// The nesting of arrays and objects in one command. Every client must be able to parse what a room
/// passes on, and common parsers stop at 64 (.NET) or 100 (Ruby) levels.
pub const NESTING_MAX: usize = 64;

/// One frame, however many commands it contains; also the maximum of `MESSAGE_BYTES_MAX`. The
/// platform limits a row to 2 MB, and a message's other fields are small.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The members listed in `welcome` and `members`; if there are more, `truncated` is true.
pub const MEMBERS_LISTED_MAX: usize = 200;
/// The bytes of profiles and states in such a list. The list ends before it exceeds this, but
/// contains at least one member.
pub const MEMBERS_BYTES_MAX: usize = 256 * 1024;

/// Messages in a page of history.
pub const PAGE_MESSAGES_MAX: u32 = 100;
/// Messages in a page of history if no limit is given.
pub const PAGE_MESSAGES_DEFAULT: u32 = 50;
/// The bytes of a page of history. It ends before it exceeds this, but contains at least one message.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// The stored entries that a search for one user's messages examines at once: as many as a recovery reads.
pub const SEARCH_ENTRIES_MAX: usize = RECOVERY_MESSAGES_MAX as usize;
/// The bytes of these entries, although a search examines at least one.
pub const SEARCH_BYTES_MAX: usize = RECOVERY_BYTES_MAX;
/// The messages of a user that one request deletes: each takes a place in the history, and is one more write.
pub const USER_DELETIONS_MAX: u32 = PAGE_MESSAGES_MAX;

/// A reply with a list counts as one more command per this many bytes. Otherwise short commands with
/// long replies would fill the queue of a socket that does not read.
pub const REPLY_BYTES_PER_COMMAND: usize = 8 * 1024;

/// The missed messages that a resuming connection can recover. If it missed more, it is not
/// recovered, and the client loads pages of history instead.
pub const RECOVERY_MESSAGES_MAX: u32 = 10_000;
/// The bytes of recovered messages, which one join may put into a socket's queue.
pub const RECOVERY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The number of times per second that a user can join a room, after a burst of twice
/// `CONNECTIONS_PER_USER_MAX`.
pub const JOINS_PER_SECOND: u32 = 5;
/// The burst of joins, if it would be smaller.
pub const JOINS_BURST_MIN: u32 = 20;
/// Replayed messages count as one more join per this many bytes.
pub const REPLAY_BYTES_PER_JOIN: usize = 256 * 1024;
/// The rate at which a room replays messages to joining clients, in units of [`REPLAY_UNIT_BYTES`]:
/// 64 MiB per second, after a burst of 256 MiB.
pub const REPLAY_RATE: Rate = Rate {
    per_second: 64 * 1024 * 1024 / REPLAY_UNIT_BYTES as u32,
    burst: 256 * 1024 * 1024 / REPLAY_UNIT_BYTES as u32,
};
/// The unit in which replayed messages are counted for the whole room.
pub const REPLAY_UNIT_BYTES: usize = 8 * 1024;
/// The maximum of `last`.
pub const LAST_MESSAGES_MAX: u32 = PAGE_MESSAGES_MAX;
/// The bytes after which a frame of replayed messages ends.
pub const REPLAY_FRAME_BYTES: usize = 64 * 1024;

/// The longest flush window of a busy room, and so the latency that it adds at most.
pub const WINDOW_MS_MAX: u64 = 10;
/// The bytes in the outbox that trigger a flush. A command that would exceed them also flushes first.
pub const FLUSH_BYTES: usize = 64 * 1024;
/// The lines in the outbox (messages, signals, replies) that trigger a flush.
pub const FLUSH_LINES: usize = 512;
/// The bytes that trigger a flush if each connection that a line names gets a copy of all lines. Before
/// a line that would exceed them, a new frame begins.
pub const FLUSH_COPIES_BYTES: usize = 8 * 1024 * 1024;
/// The longest frame that is copied to append a reply for one connection.
pub const MERGE_BYTES_MAX: usize = 8 * 1024;

/// The bytes in the runtime's queue for one socket, beyond the kernel's buffers. If the queue grows
/// longer, the connection is closed with 4002. More than one join may be sent.
pub const QUEUE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The total bytes queued for one user's sockets in a room. If more than [`QUEUE_BYTES_MAX`] are queued,
/// the user cannot open another socket, because its replay may add [`RECOVERY_BYTES_MAX`].
pub const USER_QUEUE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The bytes in the queues of all sockets of a room: an isolate has 128 MB.
pub const ROOM_QUEUE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The delay after which a room checks its clients' queues. What it has just sent may have left them by
/// then.
pub const QUEUE_CHECK_MS: u64 = 250;

const _: () = assert!(QUEUE_BYTES_MAX > (RECOVERY_BYTES_MAX + PAGE_BYTES_MAX) as u64);
const _: () =
    assert!(USER_QUEUE_BYTES_MAX > QUEUE_BYTES_MAX + (RECOVERY_BYTES_MAX + PAGE_BYTES_MAX) as u64);

/// The rooms that one session of a gateway can be in.
pub const ROOMS_PER_SESSION_MAX: usize = 128;
/// The rate of a user's joins over a gateway. Its burst lets two sessions come back to all of their rooms.
pub const GATEWAY_JOIN_RATE: Rate = Rate {
    per_second: 10,
    burst: 2 * ROOMS_PER_SESSION_MAX as u32,
};
/// The places of all sessions of a gateway in rooms. All are read when it wakes.
pub const SUBSCRIPTIONS_MAX: usize = 64 * 1024;
/// The tokens of `join` commands of one session that are checked at once.
pub const JOIN_CHECKS_MAX: usize = 8;
/// The time within which a few sessions come back to a room after its link has ended.
pub const INTERRUPTED_DELAY_MS_MIN: u64 = 1_000;
/// The additional time for each session that comes back.
pub const INTERRUPTED_DELAY_MS: u64 = 5;
/// The time after which a gateway that has links wakes, to find whether it has lost sessions.
pub const LINK_BEAT_MS: u64 = 60_000;
/// The events of one call over a link, although it has at least one.
pub const LINK_CALL_BYTES_MAX: usize = 1024 * 1024;
/// The bytes that each event of a link counts in addition to its text.
pub const LINK_EVENT_BYTES: usize = 128;
/// The bytes that wait at one end of a link. If more wait, the link ends. A room can replay
/// [`RECOVERY_BYTES_MAX`] for each of a few sessions that join at once.
pub const LINK_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The bytes that wait at all links of a gateway or a room: an isolate has 128 MB. If more wait, the link whose
/// event exceeds them ends.
pub const LINKS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The time after which a call over a link has failed.
pub const LINK_CALL_MS_MAX: u32 = 10_000;
/// The pause after a first failed attempt to tell the other end that a link has ended. It doubles with each.
pub const LINK_END_RETRY_MS_MIN: u64 = 1_000;
/// The time after which an end no longer calls the other one about it.
pub const LINK_END_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// The calls over links that an object makes at once: the platform lets six requests wait for a response.
pub const LINK_CALLS_MAX: usize = 6;
/// The longest such pause.
pub const LINK_END_RETRY_MS_MAX: u64 = 15 * 60 * 1_000;
/// The time without news for its links after which an object no longer counts as amid calls. Shorter than
/// [`HIBERNATION_IDLE_MS`], so that an object that hibernates is not.
pub const LINK_QUIET_MS: u64 = 5_000;
/// The frames to which a call over a link compares: 120 to 300 µs of both objects' time, measured with workerd,
/// and 10 to 40 µs for a frame.
pub const LINK_CALL_FRAMES: usize = 10;

const _: () = assert!(LINK_QUIET_MS < HIBERNATION_IDLE_MS);
const _: () = assert!(LINK_QUEUE_BYTES_MAX > 2 * RECOVERY_BYTES_MAX);

/// The time of the Worker's clock after which an object's clock that has not moved counts as stopped.
pub const CLOCK_STOPPED_MS: u64 = 2_000;

/// The number of errors within [`ERROR_WINDOW_MS`] that closes a connection.
pub const ERRORS_MAX: usize = 20;
/// The time within which errors are counted.
pub const ERROR_WINDOW_MS: u64 = 60_000;

/// The log lines about one room within [`LOG_WINDOW_MS`]. The others are only counted.
pub const LOG_LINES_MAX: u32 = 10;
/// The time within which log lines are counted.
pub const LOG_WINDOW_MS: u64 = 1_000;
/// The maximum number of rooms for which an isolate keeps a separate count of log lines. All other
/// rooms share one count.
pub const LOG_ROOMS_MAX: usize = 1_000;

/// The time after which the platform hibernates an idle object (workerd: 10 s). State that expires
/// sooner need not survive hibernation.
pub const HIBERNATION_IDLE_MS: u64 = 10_000;

/// The time without use after which a room counts as quiet, and looks for dead sockets less often.
pub const QUIET_MS: u64 = 5 * 60 * 1_000;
/// The longest pause between two looks for dead sockets, each of which wakes the room: 72 a day.
pub const SWEEP_MS_MAX: u64 = 20 * 60 * 1_000;

/// The platform's limit of hibernatable sockets of one object: 32 × 1,024.
pub const SOCKETS_MAX: u64 = 32 * 1024;

/// The platform's limit of a socket's attachment, including its framing.
pub const ATTACHMENT_BYTES_MAX: usize = 16 * 1024;

// An attachment contains a profile, a state, a user id, an origin and some numbers (512 bytes, and 20 error times
// of 14 digits). It is stored in UTF-16 if any character needs that.
const _: () = assert!(
    2 * (INFO_BYTES_MAX
        + STATE_BYTES_MAX
        + 6 * (USER_BYTES_MAX + ORIGIN_BYTES_MAX)
        + 512
        + ERRORS_MAX * 15)
        < ATTACHMENT_BYTES_MAX
);
