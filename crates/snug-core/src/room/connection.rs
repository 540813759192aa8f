//! One connection's state: what the room knows of a WebSocket, and keeps with it over
//! hibernation as its attachment.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    auth::{
        Admission,
        token::{ClaimedLimits, Claims},
    },
    capability::{Capabilities, Capability},
    config::RoomRules,
    ids::{ConnectionId, Timestamp, UserId},
    limits::{ERROR_WINDOW_MS, ERRORS_MAX, REPLY_BYTES_PER_COMMAND},
    protocol::push::ConnectionLimits,
    rate::{Bucket, Rate},
};

/// The attachment's form. One of another version, as after a deployment, is not guessed at.
const VERSION: u8 = 1;

/// One WebSocket.
///
/// Whatever an answer may depend on is in here or in storage, so that dropping the room and
/// restoring it changes nothing that a client can see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    v: u8,
    /// Its name.
    pub id: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// Its user's public profile, as its token has it.
    pub info: Option<Rc<RawValue>>,
    /// What it may do.
    pub can: Capabilities,
    /// When its token ends.
    pub expires: Timestamp,
    /// When it came.
    pub joined: Timestamp,
    /// When its user came, perhaps by an earlier connection.
    pub since: Timestamp,
    /// Its presence state, a JSON object.
    pub state: Option<Rc<RawValue>>,
    /// Whether a frame to it may hold several objects.
    pub lines: bool,
    /// Whether its own messages are sent to it.
    pub echo: bool,
    /// Whether presence is pushed to it.
    pub presence: bool,
    /// Commands it may send.
    pub rate: Rate,
    /// Bytes of one command.
    pub message_bytes_max: usize,
    bucket: Bucket,
    seen: Timestamp,
    errors: Vec<Timestamp>,
    /// Whether a new token of its is being checked.
    #[serde(skip)]
    pub is_refreshing: bool,
    /// By how many more commands were refused for going too fast than done since.
    #[serde(skip)]
    throttled: u32,
}

/// A socket that the room has closed and whose end is yet to come: a client that does not answer
/// a close keeps its place, or it could hold any number of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClosingSocket {
    v: u8,
    /// Whose it is; nobody's where what was kept could not be read.
    #[serde(deserialize_with = "Option::deserialize")]
    pub closing: Option<UserId>,
    /// What waited for it when it was closed for that; the runtime keeps it until it is gone.
    #[serde(skip)]
    pub queued_bytes: u64,
}

impl ClosingSocket {
    /// A socket of this user's.
    pub fn new(closing: Option<UserId>) -> Self {
        Self {
            v: VERSION,
            closing,
            queued_bytes: 0,
        }
    }

    /// The text to keep with the socket.
    pub fn attachment(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Self::attachment`] wrote.
    pub fn restore(attachment: &str) -> Option<Self> {
        serde_json::from_str(attachment).ok()
    }
}

/// How often `seen` is brought up to date: this fraction of the idle timeout.
///
/// Writing an attachment for each frame would cost more than reading the frame, and a room that
/// forgets when it last heard of a socket would hibernate its way around every timeout.
const SEEN_STEPS: u64 = 4;

impl Connection {
    /// What an admission becomes.
    pub fn new(
        id: ConnectionId,
        admission: Admission,
        since: Timestamp,
        rules: &RoomRules,
        now: Timestamp,
    ) -> Self {
        let mut connection = Self {
            v: VERSION,
            id,
            user: admission.user,
            info: admission.info,
            can: admission.can,
            expires: admission.expires,
            joined: now,
            since,
            state: None,
            lines: admission.options.lines,
            echo: admission.options.echo,
            presence: admission.options.presence,
            rate: rules.rate,
            message_bytes_max: rules.message_bytes_max,
            bucket: Bucket::default(),
            seen: now,
            errors: Vec::new(),
            is_refreshing: false,
            throttled: 0,
        };
        connection.tighten(admission.limits, rules);
        connection
    }

    /// Goes on with what a new token of its user's says and allows.
    pub fn refresh(&mut self, claims: Claims, can: Capabilities, rules: &RoomRules) {
        self.can = can;
        self.info = claims.info;
        self.expires = claims.expires;
        self.tighten(claims.limits, rules);
    }

    /// Holds it to the operator's bounds, and to its token's where those are tighter.
    fn tighten(&mut self, claimed: ClaimedLimits, rules: &RoomRules) {
        self.rate = claimed.tighten(rules.rate);
        self.message_bytes_max = claimed.message_bytes_max(rules.message_bytes_max);
    }

    /// The text to keep with the socket.
    pub fn attachment(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Self::attachment`] wrote; `None` where another version did.
    pub fn restore(attachment: &str) -> Option<Self> {
        serde_json::from_str(attachment)
            .ok()
            .filter(|connection: &Self| connection.v == VERSION)
    }

    /// What it is told that it may send.
    pub fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            message_bytes: self.message_bytes_max,
            messages_per_second: self.rate.per_second,
        }
    }

    /// Whether messages are sent to it.
    pub fn receives_messages(&self) -> bool {
        self.can.has(Capability::Receive)
    }

    /// Whether presence changes are sent to it.
    pub fn receives_presence(&self) -> bool {
        self.presence && self.can.has(Capability::Presence)
    }

    /// Notes that it sent something. Whether its attachment has to be written again.
    pub fn record_activity(&mut self, rules: &RoomRules, now: Timestamp) -> bool {
        let stale = now.ms_since(self.seen) >= rules.idle_timeout_ms / SEEN_STEPS;
        if stale {
            self.seen = now;
        }
        stale
    }

    /// When it has been silent for too long, whatever it last sent; `answered` is when the
    /// runtime last answered a ping of its.
    pub fn idle_deadline(&self, rules: &RoomRules, answered: Option<Timestamp>) -> Timestamp {
        let last_frame = self.seen.plus_ms(rules.idle_timeout_ms / SEEN_STEPS);
        last_frame
            .max(answered.unwrap_or_default())
            .plus_ms(rules.idle_timeout_ms)
    }

    /// When its token has ended for all who differ on the time.
    pub fn token_deadline(&self, rules: &RoomRules) -> Timestamp {
        self.expires.plus_ms(rules.leeway_ms)
    }

    /// Takes one command out of its rate. Whether its attachment has to be written again.
    ///
    /// # Errors
    ///
    /// How long to wait, and whether it has been told so for a whole burst more than it heeded.
    pub fn take(&mut self, now: Timestamp) -> Result<bool, Throttled> {
        match self.bucket.take(self.rate, now) {
            Ok(()) => {
                self.throttled = self.throttled.saturating_sub(1);
                Ok(self.bucket.outlasts_hibernation(now))
            }
            Err(retry_after_ms) => Err(self.throttle(retry_after_ms)),
        }
    }

    /// Counts a command that was refused for coming too soon.
    pub fn throttle(&mut self, retry_after_ms: u64) -> Throttled {
        self.throttled = self.throttled.saturating_add(1);
        Throttled {
            retry_after_ms,
            is_flood: self.throttled >= self.rate.burst.max(FLOOD_MIN),
        }
    }

    /// Counts a long reply to it towards its rate. Whether its attachment has to be written again.
    pub fn charge(&mut self, reply_bytes: usize, now: Timestamp) -> bool {
        let commands = u64::try_from(reply_bytes / REPLY_BYTES_PER_COMMAND).unwrap_or(u64::MAX);
        self.bucket.charge(self.rate, commands, now);
        self.bucket.outlasts_hibernation(now)
    }

    /// Counts an error. Whether it was one too many.
    pub fn record_error(&mut self, now: Timestamp) -> bool {
        self.errors.retain(|at| now.ms_since(*at) < ERROR_WINDOW_MS);
        self.errors.push(now);
        self.errors.len() >= ERRORS_MAX
    }
}

/// Fewest refusals that make a flood, where the burst is smaller.
const FLOOD_MIN: u32 = ERRORS_MAX as u32;

/// A command came too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Milliseconds until the next one may come.
    pub retry_after_ms: u64,
    /// Whether it has been told so often enough.
    pub is_flood: bool,
}

#[cfg(test)]
mod tests {
    use crate::{
        Offset,
        auth::{JoinOptions, Position, token::ClaimedLimits},
        limits::{
            ATTACHMENT_BYTES_MAX, EPOCH_BYTES_MAX, INFO_BYTES_MAX, SAFE_INTEGER_MAX,
            STATE_BYTES_MAX, USER_BYTES_MAX,
        },
        protocol::json,
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn an_attachment_reads_back_as_it_was_written() {
        let mut connection = connection();
        connection.state = Some(raw(r#"{"is":"typing"}"#));
        connection.record_error(NOW);
        for _ in 0..5 {
            connection.take(NOW).unwrap();
        }
        connection.record_activity(&rules(), NOW.plus_ms(50_000));
        let text = connection.attachment();
        let restored = Connection::restore(&text).unwrap();
        assert_eq!(format!("{restored:?}"), format!("{connection:?}"));
        assert_eq!(restored.attachment(), text);
    }

    #[test]
    fn an_attachment_of_another_version_is_not_guessed_at() {
        let text = connection().attachment();
        let this = format!(r#""v":{VERSION},"#);
        assert!(text.contains(&this));
        let others = [
            text.replace(&this, r#""v":0,"#),
            text.replace(&this, &format!(r#""v":{},"#, VERSION + 1)),
            text.replace(&this, ""),
            String::new(),
            "null".into(),
            "{}".into(),
            text.replacen('{', "[", 1),
        ];
        for other in others {
            assert!(Connection::restore(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_largest_attachment_fits_its_socket() {
        let far = Timestamp(SAFE_INTEGER_MAX);
        let rules = RoomRules {
            message_bytes_max: usize::MAX,
            rate: Rate {
                per_second: 1,
                burst: u32::MAX,
            },
            ..rules()
        };
        // Nothing is larger than a text that needs UTF-16 and is escaped where it can be.
        let filled = |bytes: usize| {
            let rest = bytes - r#"{"":""}"#.len() - "用".len();
            raw(&format!(r#"{{"用":"{}"}}"#, "x".repeat(rest)))
        };
        let mut connection = Connection {
            joined: far,
            since: far,
            ..Connection::new(
                ConnectionId(u64::MAX),
                Admission {
                    user: UserId::parse(&"\"".repeat(USER_BYTES_MAX)).unwrap(),
                    info: Some(filled(INFO_BYTES_MAX)),
                    can: serde_json::from_str(
                        r#"["receive","publish","signal","presence","history","moderate","serve"]"#,
                    )
                    .unwrap(),
                    expires: far,
                    options: JoinOptions {
                        resume: Some(Position {
                            epoch: "e".repeat(EPOCH_BYTES_MAX),
                            offset: Offset::END,
                        }),
                        ..options()
                    },
                    limits: ClaimedLimits::default(),
                },
                far,
                &rules,
                far,
            )
        };
        connection.state = Some(filled(STATE_BYTES_MAX));
        for _ in 1..ERRORS_MAX {
            assert!(!connection.record_error(far));
            connection.take(far).unwrap();
        }
        let text = connection.attachment();
        assert!(json::is_readable(&text));
        assert!(Connection::restore(&text).is_some());
        let utf16_bytes = 2 * text.encode_utf16().count();
        assert!(utf16_bytes + 16 <= ATTACHMENT_BYTES_MAX, "{utf16_bytes}");
    }

    #[test]
    fn the_twentieth_error_is_one_too_many() {
        let mut connection = connection();
        for _ in 1..ERRORS_MAX {
            assert!(!connection.record_error(NOW));
        }
        assert!(connection.record_error(NOW));
    }

    #[test]
    fn errors_are_forgotten_after_their_window() {
        let mut connection = connection();
        for _ in 1..ERRORS_MAX {
            connection.record_error(NOW);
        }
        let mut late = connection.clone();
        assert!(connection.record_error(NOW.plus_ms(ERROR_WINDOW_MS - 1)));
        assert!(!late.record_error(NOW.plus_ms(ERROR_WINDOW_MS)));
    }

    #[test]
    fn when_it_was_last_heard_of_is_noted_in_steps() {
        let (mut connection, rules) = (connection(), rules());
        let step_ms = rules.idle_timeout_ms / SEEN_STEPS;
        assert!(!connection.record_activity(&rules, NOW.plus_ms(step_ms - 1)));
        assert!(connection.record_activity(&rules, NOW.plus_ms(step_ms)));
        assert!(!connection.record_activity(&rules, NOW.plus_ms(step_ms)));
    }

    #[test]
    fn it_is_silent_a_timeout_after_its_last_frame_or_ping() {
        let (connection, rules) = (connection(), rules());
        let step_ms = rules.idle_timeout_ms / SEEN_STEPS;
        let from_frame = NOW.plus_ms(step_ms + rules.idle_timeout_ms);
        assert_eq!(connection.idle_deadline(&rules, None), from_frame);
        assert_eq!(connection.idle_deadline(&rules, Some(NOW)), from_frame);
        let pinged = NOW.plus_ms(step_ms + 7);
        let from_ping = pinged.plus_ms(rules.idle_timeout_ms);
        assert_eq!(connection.idle_deadline(&rules, Some(pinged)), from_ping);
    }

    #[test]
    fn a_flood_is_a_whole_burst_of_refusals_in_a_row() {
        let mut connection = connection();
        let burst = connection.rate.burst;
        for _ in 0..burst {
            connection.take(NOW).unwrap();
        }
        for _ in 1..burst {
            assert!(!connection.take(NOW).unwrap_err().is_flood);
        }
        let mut patient = connection.clone();
        assert!(connection.take(NOW).unwrap_err().is_flood);
        let later = NOW.plus_ms(20);
        patient.take(later).unwrap();
        assert!(!patient.take(later).unwrap_err().is_flood);
    }

    fn connection() -> Connection {
        let admission = Admission {
            user: UserId::parse("ann").unwrap(),
            info: Some(raw(r#"{"name":"安"}"#)),
            can: Capabilities::default_grant(),
            expires: NOW.plus_ms(60_000),
            limits: ClaimedLimits::default(),
            options: options(),
        };
        Connection::new(ConnectionId(7), admission, NOW, &rules(), NOW)
    }

    fn options() -> JoinOptions {
        JoinOptions {
            lines: false,
            echo: false,
            presence: false,
            resume: None,
            last: None,
        }
    }

    fn rules() -> RoomRules {
        RoomRules::by_default()
    }

    fn raw(json: &str) -> Rc<RawValue> {
        RawValue::from_string(json.into()).unwrap().into()
    }
}
