//! The state of a connection, which its attachment keeps during hibernation.

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
    ids::{ConnectionId, Origin, Timestamp, UserId},
    limits::{ERROR_WINDOW_MS, ERRORS_MAX, QUIET_MS, REPLY_BYTES_PER_COMMAND},
    protocol::{push::ConnectionLimits, wire::Wire},
    rate::{Rate, SharedBucket},
};

/// The `v` of attachments. Earlier versions of Snug read only attachments with this number.
///
/// A deployment keeps the sockets of a sleeping room, and a rollback does, too, so each version has to
/// read the attachments of the one before it and of the one after it. A new field therefore needs a
/// default, and a field that later versions do not need is still written for one version.
pub(super) const VERSION: u8 = 1;

/// A connection: one WebSocket of a user.
///
/// Everything that a reply may depend on is either here or in storage, so that no client notices
/// when the room is dropped and restored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    #[serde(default = "version")]
    v: u8,
    /// The connection's id.
    pub id: ConnectionId,
    /// The connection's user.
    pub user: UserId,
    /// The user's public profile, from the token.
    pub info: Option<Rc<RawValue>>,
    /// The capabilities that the token grants in this room.
    pub can: Capabilities,
    /// Expiry of the token.
    pub expires: Timestamp,
    /// Time at which the token was issued. Attachments of versions that did not record it count as
    /// issued long ago.
    #[serde(default)]
    pub issued: Timestamp,
    /// Time of the join.
    pub joined: Timestamp,
    /// Time since which the user is a member, perhaps by an earlier connection.
    pub since: Timestamp,
    /// The presence state, a JSON object.
    pub state: Option<Rc<RawValue>>,
    /// True if frames to and from the connection may hold several objects, one per line.
    pub lines: bool,
    /// True if the connection receives its own messages.
    pub echo: bool,
    /// True if the connection wants presence pushes.
    pub presence: bool,
    /// Rate limit of commands.
    pub rate: Rate,
    /// Largest number of bytes of one command.
    pub message_bytes_max: usize,
    /// The rate of the user's commands.
    pub bucket: SharedBucket,
    seen: Timestamp,
    /// Time of the join, or of the last command that shows that the room is in use. Attachments of
    /// versions that did not record it count as long quiet.
    #[serde(default)]
    pub(super) active: Timestamp,
    errors: Vec<Timestamp>,
    /// The origin of the page that opened the connection, for the log.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// True while a new token is being checked.
    #[serde(skip)]
    pub is_refreshing: bool,
    /// Rate-limited commands minus accepted ones.
    #[serde(skip)]
    throttled: u32,
}

/// Returns the version, for attachments without one.
pub(super) fn version() -> u8 {
    VERSION
}

/// Updates of `seen` per idle timeout.
///
/// `seen` has to be in the attachment, or the idle timeout would start again with every
/// hibernation. But an attachment written for every frame would cost more than the frame.
const SEEN_STEPS: u64 = 4;

/// Updates of `active` while a room that is in use would become quiet.
const ACTIVE_STEPS: u64 = 5;

impl Connection {
    /// Creates a connection from an admission.
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
            // Not later than the join, so that a cookie session, which always counts as new at a join,
            // can be ended.
            issued: admission.issued.min(now),
            joined: now,
            since,
            state: None,
            lines: admission.options.lines,
            echo: admission.options.echo,
            presence: admission.options.presence,
            rate: rules.rate,
            message_bytes_max: rules.message_bytes_max,
            bucket: SharedBucket::default(),
            seen: now,
            active: now,
            errors: Vec::new(),
            origin: admission.origin,
            is_refreshing: false,
            throttled: 0,
        };
        connection.tighten(admission.limits, rules);
        connection
    }

    /// Replaces the profile, capabilities, expiry and limits with those of a new token.
    pub fn refresh(
        &mut self,
        claims: Claims,
        can: Capabilities,
        rules: &RoomRules,
        now: Timestamp,
    ) {
        self.issued = claims.issued.min(now);
        self.can = can;
        self.info = claims.info;
        self.expires = claims.expires;
        self.tighten(claims.limits, rules);
    }

    /// Sets the limits to the room's, or to the token's if those are tighter.
    fn tighten(&mut self, claimed: ClaimedLimits, rules: &RoomRules) {
        self.rate = claimed.tighten(rules.rate);
        self.message_bytes_max = claimed.message_bytes_max(rules.message_bytes_max);
    }

    /// Returns the attachment.
    pub fn attachment(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an attachment, also one of an earlier or later version; `None` if something is missing.
    pub fn restore(attachment: &str) -> Option<Self> {
        let restored = serde_json::from_str(attachment).ok();
        restored.map(|connection: Self| Self {
            v: VERSION,
            ..connection
        })
    }

    /// Returns the limits for `welcome`.
    pub fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            message_bytes: self.message_bytes_max,
            messages_per_second: self.rate.per_second,
        }
    }

    /// Returns the form in which the connection receives objects.
    pub fn wire(&self) -> Wire {
        Wire::of(self.lines)
    }

    /// Returns true if the connection receives messages.
    pub fn receives_messages(&self) -> bool {
        self.can.has(Capability::Receive)
    }

    /// Returns true if the connection receives presence pushes.
    pub fn receives_presence(&self) -> bool {
        self.presence && self.can.has(Capability::Presence)
    }

    /// Records that a frame arrived. Returns true if the attachment has to be written.
    pub fn record_activity(&mut self, rules: &RoomRules, now: Timestamp) -> bool {
        let stale = now.ms_since(self.seen) >= rules.idle_timeout_ms / SEEN_STEPS;
        if stale {
            self.seen = now;
        }
        stale
    }

    /// Records that a command shows that the room is in use. Returns true if the attachment has to be
    /// written.
    pub fn record_use(&mut self, now: Timestamp) -> bool {
        let stale = now.ms_since(self.active) >= QUIET_MS / ACTIVE_STEPS;
        if stale {
            self.active = now;
        }
        stale
    }

    /// Returns the time at which the connection exceeds the idle timeout. `answered` is the time
    /// of the last ping that the runtime answered.
    pub fn idle_deadline(&self, rules: &RoomRules, answered: Option<Timestamp>) -> Timestamp {
        let last_frame = self.seen.plus_ms(rules.idle_timeout_ms / SEEN_STEPS);
        last_frame
            .max(answered.unwrap_or_default())
            .plus_ms(rules.idle_timeout_ms)
    }

    /// Returns the time at which the token has expired, including the leeway for clock differences.
    pub fn token_deadline(&self, rules: &RoomRules) -> Timestamp {
        self.expires.plus_ms(rules.leeway_ms)
    }

    /// Takes one command from the user's rate. Returns true if the attachment has to be written.
    ///
    /// # Errors
    ///
    /// The command exceeds the rate.
    pub fn take(&mut self, now: Timestamp) -> Result<bool, Throttled> {
        match self.bucket.take(self.rate, now) {
            Ok(()) => {
                self.throttled = self.throttled.saturating_sub(1);
                Ok(self.bucket.outlasts_hibernation(now))
            }
            Err(retry_after_ms) => Err(self.throttle(retry_after_ms)),
        }
    }

    /// Counts a rate-limited command.
    pub fn throttle(&mut self, retry_after_ms: u64) -> Throttled {
        self.throttled = self.throttled.saturating_add(1);
        Throttled {
            retry_after_ms,
            is_flood: self.throttled >= self.rate.burst.max(FLOOD_MIN),
        }
    }

    /// Counts a long reply toward the rate. Returns true if the attachment has to be written.
    pub fn charge(&mut self, reply_bytes: usize, now: Timestamp) -> bool {
        let commands = u64::try_from(reply_bytes / REPLY_BYTES_PER_COMMAND).unwrap_or(u64::MAX);
        self.bucket.charge(self.rate, commands, now);
        self.bucket.outlasts_hibernation(now)
    }

    /// Counts an error. Returns true if the connection has to be closed for too many errors.
    pub fn record_error(&mut self, now: Timestamp) -> bool {
        self.errors.retain(|at| now.ms_since(*at) < ERROR_WINDOW_MS);
        self.errors.push(now);
        self.errors.len() >= ERRORS_MAX
    }
}

/// Smallest excess of rate-limited commands that counts as a flood, if the burst is smaller.
const FLOOD_MIN: u32 = ERRORS_MAX as u32;

/// A command exceeds the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Milliseconds until the next command is accepted.
    pub retry_after_ms: u64,
    /// True if the connection has to be closed: rate-limited commands exceed accepted ones by a
    /// burst.
    pub is_flood: bool,
}

#[cfg(test)]
mod tests {
    use crate::{
        Offset,
        auth::{JoinOptions, Position, token::ClaimedLimits},
        limits::{
            ATTACHMENT_BYTES_MAX, EPOCH_BYTES_MAX, INFO_BYTES_MAX, ORIGIN_BYTES_MAX,
            SAFE_INTEGER_MAX, STATE_BYTES_MAX, USER_BYTES_MAX,
        },
        protocol::json,
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn restores_a_connection_from_its_attachment() {
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
    fn restores_the_attachments_of_every_earlier_version() {
        for text in EARLIER {
            let restored = Connection::restore(text).unwrap();
            assert_eq!(restored.user.as_str(), "ann");
            assert_eq!(restored.can, Capabilities::default_grant());
            assert!(restored.attachment().contains(r#""v":1,"#), "{text}");
        }
    }

    #[test]
    fn writes_what_every_earlier_version_reads() {
        let fields = |text: &str| -> serde_json::Map<String, serde_json::Value> {
            serde_json::from_str(text).unwrap()
        };
        let written = fields(&connection().attachment());
        for text in EARLIER {
            for (name, earlier) in fields(text) {
                let now = written.get(&name).unwrap();
                let has_type = std::mem::discriminant(now) == std::mem::discriminant(&earlier);
                assert!(has_type || now.is_null() || earlier.is_null(), "{name}");
            }
        }
    }

    #[test]
    fn restores_an_attachment_of_a_later_version() {
        let text = connection().attachment();
        let later = text.replace(r#""v":1,"#, r#""v":2,"later":{"field":[]},"#);
        let restored = Connection::restore(&later).unwrap();
        assert_eq!(restored.attachment(), text);
    }

    #[test]
    fn does_not_restore_what_is_no_attachment() {
        let text = connection().attachment();
        let others = [
            String::new(),
            "null".into(),
            "{}".into(),
            text.replacen('{', "[", 1),
            text.replace("\"user\"", "\"nobody\""),
        ];
        for other in others {
            assert!(Connection::restore(&other).is_none(), "{other}");
        }
    }

    /// Attachments in the forms of earlier versions of Snug, newest first. Never change one; when the
    /// form changes, add the one before.
    const EARLIER: [&str; 2] = [
        r#"{"v":1,"id":"0000000000000007","user":"ann","info":{"name":"安"},"can":["receive","publish","signal","presence","history"],"expires":1800000060000,"joined":1800000000000,"since":1800000000000,"state":null,"lines":true,"echo":true,"presence":true,"rate":{"per_second":50,"burst":100},"message_bytes_max":65536,"bucket":{"full_at_us":1800000000020000},"seen":1800000000000,"active":1800000000000,"errors":[1800000000000]}"#,
        r#"{"v":1,"id":"0000000000000007","user":"ann","info":{"name":"安"},"can":["receive","publish","signal","presence","history"],"expires":1800000060000,"joined":1800000000000,"since":1800000000000,"state":null,"lines":true,"echo":true,"presence":true,"rate":{"per_second":50,"burst":100},"message_bytes_max":65536,"bucket":{"full_at_us":1800000000020000},"seen":1800000000000,"errors":[1800000000000]}"#,
    ];

    #[test]
    fn the_largest_attachment_fits_the_platforms_limit() {
        let far = Timestamp(SAFE_INTEGER_MAX);
        let rules = RoomRules {
            message_bytes_max: usize::MAX,
            rate: Rate {
                per_second: 1,
                burst: u32::MAX,
            },
            ..rules()
        };
        // A text that needs UTF-16 is the largest.
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
                    issued: far,
                    options: JoinOptions {
                        resume: Some(Position {
                            epoch: "e".repeat(EPOCH_BYTES_MAX),
                            offset: Offset::END,
                        }),
                        ..options()
                    },
                    limits: ClaimedLimits::default(),
                    origin: Some(Origin::new(&"\"".repeat(ORIGIN_BYTES_MAX))),
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
    fn the_maximum_number_of_errors_closes_the_connection() {
        let mut connection = connection();
        for _ in 1..ERRORS_MAX {
            assert!(!connection.record_error(NOW));
        }
        assert!(connection.record_error(NOW));
    }

    #[test]
    fn errors_count_only_within_their_window() {
        let mut connection = connection();
        for _ in 1..ERRORS_MAX {
            connection.record_error(NOW);
        }
        let mut late = connection.clone();
        assert!(connection.record_error(NOW.plus_ms(ERROR_WINDOW_MS - 1)));
        assert!(!late.record_error(NOW.plus_ms(ERROR_WINDOW_MS)));
    }

    #[test]
    fn writes_the_time_of_the_last_frame_in_steps() {
        let (mut connection, rules) = (connection(), rules());
        let step_ms = rules.idle_timeout_ms / SEEN_STEPS;
        assert!(!connection.record_activity(&rules, NOW.plus_ms(step_ms - 1)));
        assert!(connection.record_activity(&rules, NOW.plus_ms(step_ms)));
        assert!(!connection.record_activity(&rules, NOW.plus_ms(step_ms)));
    }

    #[test]
    fn the_idle_deadline_is_one_timeout_after_the_last_frame_or_ping() {
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
    fn a_burst_more_rate_limited_than_accepted_commands_is_a_flood() {
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
            issued: NOW,
            limits: ClaimedLimits::default(),
            options: options(),
            origin: Some(Origin::new("https://app.example")),
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
