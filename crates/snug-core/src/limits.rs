//! Every fixed bound, with its unit and where it comes from. The ones an operator sets are in
//! [`crate::config`].

/// Largest integer that JavaScript and SQLite's JavaScript binding both keep exact: 2^53 - 1.
pub const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// A room's name.
pub const ROOM_NAME_BYTES_MAX: usize = 128;
/// A user's id.
pub const USER_BYTES_MAX: usize = 128;
/// A token. Larger ones are refused before anything in them is decoded.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The claims of a development token, as they are sent.
pub const CLAIMS_BYTES_MAX: usize = 4 * 1024;

// Base64url makes 3 bytes 4. What is beside these claims in a token is short, but for an issuer and an audience
// of the operator's.
const _: () = assert!(CLAIMS_BYTES_MAX / 3 * 4 + 1024 < TOKEN_BYTES_MAX);

/// A token's times, in seconds since 1970: the year 33658. What is beyond was meant as milliseconds,
/// and would be a token that never ends.
pub const TIME_SECONDS_MAX: u64 = 999_999_999_999;
/// An RSA key's modulus: 2,048 bits at least (RFC 7518, section 3.3).
pub const RSA_BYTES_MIN: usize = 256;
/// The same at most: a check takes time that grows with its square.
pub const RSA_BYTES_MAX: usize = 1024;
/// What an address of keys may answer.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;
/// What an application may answer about a session.
pub const SESSION_BYTES_MAX: usize = 16 * 1024;
/// How long either may take.
pub const ANSWER_MS_MAX: u32 = 5_000;
/// A `refresh` command: a token, and what is around it. It may be longer than what the connection's
/// token lets it say.
pub const REFRESH_BYTES_MAX: usize = TOKEN_BYTES_MAX + 256;
/// A token's `info`, as JSON.
pub const INFO_BYTES_MAX: usize = 1024;
/// A presence state, as JSON.
pub const STATE_BYTES_MAX: usize = 2048;
/// A command's `id`, where it is a string.
pub const COMMAND_ID_BYTES_MAX: usize = 64;
/// A message's or signal's `event`.
pub const EVENT_BYTES_MAX: usize = 64;
/// A publish command's idempotency key.
pub const KEY_BYTES_MAX: usize = 64;
/// The idempotency keys that a room remembers: its newest.
pub const IDEMPOTENCY_KEYS_MAX: usize = 1000;
/// The users that one signal may name.
pub const SIGNAL_TO_MAX: usize = 32;
/// The reason that a `kick` command gives.
pub const REASON_BYTES_MAX: usize = 256;
/// How long a ban may be: ten years, of 365 days.
pub const BAN_SECONDS_MAX: u64 = 10 * 365 * 24 * 60 * 60;
/// The bans of one room, each read at every wake.
pub const BANS_MAX: usize = 1_000;
/// The epoch that a resuming client names.
pub const EPOCH_BYTES_MAX: usize = 64;

/// The messages of one request over HTTP, stored as one row: with the most that a row may hold beside
/// [`FRAME_BYTES_MAX`] of them, 2 MB are not reached.
pub const API_MESSAGES_MAX: usize = 100;
/// The rooms that one request may publish in.
pub const API_ROOMS_MAX: usize = 100;
/// Callers whose rate a room remembers at a time.
pub const CALLERS_MAX: usize = 1_000;

/// Events in one request to the back end.
pub const DELIVERY_EVENTS_MAX: usize = 100;
/// The same in bytes, though it holds one event at least.
pub const DELIVERY_BYTES_MAX: usize = 1024 * 1024;
/// How long the first event waits for others.
pub const DELIVERY_WINDOW_MS: u64 = 1_000;
/// How long the back end may take to answer.
pub const DELIVERY_MS_MAX: u32 = 10_000;
/// When a delivery is given up of which nothing was heard, as when the object was restarted amid it.
pub const DELIVERY_LOST_MS: u64 = 15_000;
/// The pause after the first failure, which doubles with each one.
pub const RETRY_MS_MIN: u64 = 1_000;
/// The longest pause.
pub const RETRY_MS_MAX: u64 = 15 * 60 * 1_000;
/// The longest pause that the back end can ask for.
pub const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;
/// For how long an event is tried again.
pub const EVENT_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// What may wait to be told to the back end, as it is stored: as much as a room's history may be.
pub const EVENTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lines of one row of events, in bytes (but one line at least): all members of a room may leave at once,
/// and a row holds 2 MB at most.
pub const EVENTS_ROW_BYTES_MAX: usize = 64 * 1024;
/// Events that were given up and are kept: the newest.
pub const DEAD_EVENTS_MAX: u64 = 1_000;
/// How long a room is empty before it is told to be: longer than it takes to load a page again.
pub const VACATED_MS: u64 = 5_000;

const _: () = assert!(DELIVERY_LOST_MS > DELIVERY_MS_MAX as u64);

/// What the back end is asked to judge at once: messages of one room.
pub const HOOK_MESSAGES_MAX: usize = 100;
/// The same as JSON, in bytes (but one message at least). A connection whose messages and commands
/// wait for verdicts may have as much of them waiting.
pub const HOOK_BYTES_MAX: usize = 1024 * 1024;
/// What the back end may answer to that.
pub const HOOK_RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long it may take.
pub const HOOK_TIMEOUT_MS: u32 = 2_000;
/// The messages of a room that wait for a verdict, those among them that the back end is asked
/// about. Where it never answers, that is four questions of 2 s: clients wait for 10 s.
pub const PENDING_MESSAGES_MAX: usize = 4 * HOOK_MESSAGES_MAX;
/// What waits of all connections of a room, in bytes: an isolate has 128 MB.
pub const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What each message or frame that waits counts beside its own bytes.
pub const PENDING_OVERHEAD_BYTES: usize = 256;

// A connection's longest frame fits, whoever else waits.
const _: () = assert!(HOOK_BYTES_MAX + FRAME_BYTES_MAX < PENDING_BYTES_MAX);

/// Arrays and objects within each other in one command. Common parsers stop at 64 (.NET) or
/// 100 (Ruby): what a room passes on has to be readable by every member.
pub const NESTING_MAX: usize = 64;

/// One frame, whatever number of commands it holds; also the most that `MESSAGE_BYTES_MAX` can
/// be set to. A stored row may hold 2 MB on the platform, and a message's own fields need few.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The members that `welcome` and `members` list; past it, `truncated` is true.
pub const MEMBERS_LISTED_MAX: usize = 200;
/// The profiles and states in such a list: it ends early rather than grow past this (but holds
/// at least one member).
pub const MEMBERS_BYTES_MAX: usize = 256 * 1024;

/// Messages in a page of history.
pub const PAGE_MESSAGES_MAX: u32 = 100;
/// Messages in a page of history where the command does not say.
pub const PAGE_MESSAGES_DEFAULT: u32 = 50;
/// A page of history: it ends early rather than grow past this (but holds at least one message).
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// A reply with a list counts as one command more for each so many bytes of it: a short command
/// that is answered at length would otherwise fill the queue of a socket that does not read.
pub const REPLY_BYTES_PER_COMMAND: usize = 8 * 1024;

/// Messages that a connection may have missed and still be sent all of. Past it, recovery is
/// honestly not: the client loads what it wants as pages.
pub const RECOVERY_MESSAGES_MAX: u32 = 10_000;
/// The same in bytes: what one join may put into the queue of one socket.
pub const RECOVERY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The newest messages that `last` may ask for.
pub const LAST_MESSAGES_MAX: u32 = PAGE_MESSAGES_MAX;
/// A frame of several replayed messages ends once it holds this much.
pub const REPLAY_FRAME_BYTES: usize = 64 * 1024;

/// How long a busy room gathers before it stores and sends: the latency that it adds at most.
pub const WINDOW_MS_MAX: u64 = 10;
/// What a room gathers at most: it is stored and sent once it is this much, and before a command
/// would make it more.
pub const FLUSH_BYTES: usize = 64 * 1024;
/// The same in lines: messages, signals, replies.
pub const FLUSH_LINES: usize = 512;
/// The same, with every line that is for one connection taken for a copy of all the rest.
pub const FLUSH_COPIES_BYTES: usize = 8 * 1024 * 1024;
/// A frame of the room's that is longer than this is not copied to add a reply to it.
pub const MERGE_BYTES_MAX: usize = 8 * 1024;

/// What may wait to be read by one client, in the runtime's queue for its socket and beyond the
/// kernel's. Past it, the connection is closed 4002. More than all that one join may be sent.
pub const QUEUE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The same for all of a room's clients together: an isolate has 128 MB.
pub const ROOM_QUEUE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A queue that is shorter is that of a client that keeps up.
pub const QUEUE_BYTES_NOTED: u64 = 256 * 1024;

const _: () = assert!(QUEUE_BYTES_MAX > (RECOVERY_BYTES_MAX + PAGE_BYTES_MAX) as u64);

/// The error within [`ERROR_WINDOW_MS`] that closes a connection.
pub const ERRORS_MAX: usize = 20;
/// The minute in which errors are counted.
pub const ERROR_WINDOW_MS: u64 = 60_000;

/// How long the platform leaves an object alone before it hibernates (workerd: 10 s). What is
/// over by then does not have to be kept over hibernation.
pub const HIBERNATION_IDLE_MS: u64 = 10_000;

/// The hibernatable sockets that one object may hold on the platform: 32 × 1,024.
pub const SOCKETS_MAX: u64 = 32 * 1024;

/// What a socket's attachment may hold on the platform, its own framing included.
pub const ATTACHMENT_BYTES_MAX: usize = 16 * 1024;

// An attachment holds a profile, a state, a user id and some numbers (512 bytes, and 20 error times of 14
// digits), in UTF-16 where any character of it needs that.
const _: () = assert!(
    2 * (INFO_BYTES_MAX + STATE_BYTES_MAX + 6 * USER_BYTES_MAX + 512 + ERRORS_MAX * 15)
        < ATTACHMENT_BYTES_MAX
);
