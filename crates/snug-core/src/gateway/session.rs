//! A session that a gateway holds: one client's connection, and the rooms that it is in.

use std::{collections::BTreeMap, rc::Rc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{SOCKET, io::SessionAdmission, store::StoredSubscription};
use crate::{
    Admission,
    auth::{
        JoinOptions,
        token::{ClaimedLimits, Claims},
    },
    capability::{Capabilities, Grants, GroupedGrants},
    config::RoomRules,
    ids::{ConnectionId, Origin, RoomName, Timestamp, UserId},
    limits::{ATTACHMENT_BYTES_MAX, ERRORS_MAX},
    protocol::{command::CommandId, push::ConnectionLimits, wire::Wire},
    rate::{Rate, SharedBucket},
    session::Session,
};

/// The `v` of attachments.
const VERSION: u8 = 1;

/// One client's connection.
#[derive(Clone, Debug)]
pub(super) struct GatewaySession {
    /// The part that any socket has.
    pub(super) socket: Session,
    pub(super) user: UserId,
    info: Option<Rc<RawValue>>,
    grants: Grants,
    claimed: ClaimedLimits,
    /// The rate of commands.
    pub(super) rate: Rate,
    /// The most bytes of one command.
    pub(super) message_bytes_max: usize,
    /// The commands of the user's sessions.
    pub(super) commands: SharedBucket,
    /// The joins of the user's sessions.
    pub(super) joins: SharedBucket,
    /// Rate-limited commands minus accepted ones.
    pub(super) throttled: u32,
    /// The tokens of `join` commands that are being checked.
    pub(super) join_checks: usize,
    /// The rooms that it is in.
    pub(super) rooms: BTreeMap<RoomName, Subscription>,
}

/// The place of a session in a room.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscription {
    /// The joins that the room has not ended yet.
    pub(super) joins: u32,
    /// The ids of `join` commands that the room has not answered.
    pub(super) unanswered: Vec<Option<CommandId>>,
    /// True if it receives messages.
    pub(super) messages: bool,
    /// True if it receives presence pushes.
    pub(super) presence: bool,
    /// True if it has a token of its own, which the session's does not replace.
    pub(super) has_own_token: bool,
    /// True if it is in storage. Until the room has answered its first join, it is only in the attachment.
    pub(super) is_stored: bool,
    /// True if the last attachment lists it.
    pub(super) is_attached: bool,
}

/// The attachment.
#[derive(Serialize, Deserialize)]
struct Attachment {
    /// Distinguishes the attachment of a session from others.
    session: u8,
    id: ConnectionId,
    user: UserId,
    info: Option<Rc<RawValue>>,
    grants: GroupedGrants,
    limits: ClaimedLimits,
    expires: Timestamp,
    issued: Timestamp,
    lines: bool,
    commands: SharedBucket,
    joins: SharedBucket,
    seen: Timestamp,
    errors: Vec<Timestamp>,
    origin: Option<Origin>,
    /// The rooms that have not answered its first join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    joining: Vec<Joining>,
}

/// A place in a room that is not stored yet, in the attachment.
#[derive(Serialize, Deserialize)]
struct Joining {
    room: RoomName,
    joins: u32,
    has_own_token: bool,
}

/// The bytes that an attachment may still grow by: 20 error times of 14 digits, rates, and its framing.
const SLACK_BYTES: usize = ERRORS_MAX * 15 + 128;

impl GatewaySession {
    /// Creates a session.
    pub(super) fn new(
        id: ConnectionId,
        admission: SessionAdmission,
        rules: &RoomRules,
        now: Timestamp,
    ) -> Self {
        let socket = Session {
            id,
            via: SOCKET,
            wire: Wire::of(admission.lines),
            expires: admission.expires,
            issued: admission.issued.min(now),
            origin: admission.origin,
            seen: now,
            errors: Vec::new(),
            is_refreshing: false,
        };
        Self {
            socket,
            user: admission.user,
            info: admission.info,
            grants: admission.grants,
            claimed: admission.limits,
            rate: admission.limits.tighten(rules.rate),
            message_bytes_max: admission.limits.message_bytes_max(rules.message_bytes_max),
            commands: SharedBucket::default(),
            joins: SharedBucket::default(),
            throttled: 0,
            join_checks: 0,
            rooms: BTreeMap::new(),
        }
    }

    /// Replaces what the token says.
    pub(super) fn refresh(&mut self, claims: Claims, rules: &RoomRules, now: Timestamp) {
        self.socket.refresh(claims.issued.min(now), claims.expires);
        self.info = claims.info;
        self.grants = claims.grants;
        self.claimed = claims.limits;
        self.rate = claims.limits.tighten(rules.rate);
        self.message_bytes_max = claims.limits.message_bytes_max(rules.message_bytes_max);
    }

    /// Returns the limits for `hello`.
    pub(super) fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            message_bytes: self.message_bytes_max,
            messages_per_second: self.rate.per_second,
        }
    }

    /// Returns what the session's token grants in a room; `None` if it grants nothing.
    pub(super) fn admission(&self, room: &RoomName, options: JoinOptions) -> Option<Admission> {
        let claims = Claims {
            user: self.user.clone(),
            expires: self.socket.expires,
            issued: self.socket.issued,
            grants: Grants::default(),
            info: self.info.clone(),
            limits: self.claimed,
        };
        let can = self.grants.for_room(room)?;
        Some(admission(claims, can, options, self.socket.origin.clone()))
    }

    /// Returns true if the runtime can keep the attachment, which has the token's claims. It is stored in UTF-16
    /// if any character is beyond Latin-1.
    pub(super) fn fits(&self) -> bool {
        let text = self.attachment();
        let is_wide = text.chars().any(|one| one > '\u{ff}');
        let bytes = match is_wide {
            true => text.encode_utf16().count().saturating_mul(2),
            false => text.chars().count(),
        };
        let slack = if is_wide {
            SLACK_BYTES.saturating_mul(2)
        } else {
            SLACK_BYTES
        };
        bytes.saturating_add(slack) <= ATTACHMENT_BYTES_MAX
    }

    /// Returns the attachment.
    pub(super) fn attachment(&self) -> String {
        let attachment = Attachment {
            session: VERSION,
            id: self.socket.id,
            user: self.user.clone(),
            info: self.info.clone(),
            grants: self.grants.clone().into(),
            limits: self.claimed,
            expires: self.socket.expires,
            issued: self.socket.issued,
            lines: self.socket.wire == Wire::Lines,
            commands: self.commands.clone(),
            joins: self.joins.clone(),
            seen: self.socket.seen,
            errors: self.socket.errors.clone(),
            origin: self.socket.origin.clone(),
            joining: self.joining().collect(),
        };
        serde_json::to_string(&attachment).unwrap_or_default()
    }

    /// Reads an attachment; `None` if it is not that of a session.
    pub(super) fn restore(attachment: &str, rules: &RoomRules) -> Option<Self> {
        let kept: Attachment = serde_json::from_str(attachment).ok()?;
        let admission = SessionAdmission {
            user: kept.user,
            info: kept.info,
            grants: kept.grants.into(),
            expires: kept.expires,
            issued: kept.issued,
            limits: kept.limits,
            lines: kept.lines,
            origin: kept.origin,
        };
        let mut session = Self::new(kept.id, admission, rules, kept.seen);
        // A session that was just confirmed counts as issued then, which is not later.
        session.socket.issued = kept.issued;
        session.socket.errors = kept.errors;
        (session.commands, session.joins) = (kept.commands, kept.joins);
        session.rooms = kept.joining.into_iter().map(Joining::restore).collect();
        Some(session)
    }

    fn joining(&self) -> impl Iterator<Item = Joining> {
        let rooms = self.rooms.iter().filter(|(_, one)| !one.is_stored);
        rooms.map(|(room, one)| Joining {
            room: room.clone(),
            joins: one.joins,
            has_own_token: one.has_own_token,
        })
    }

    /// Returns the rooms that are not stored yet.
    pub(super) fn unstored(&self) -> Vec<RoomName> {
        self.joining().map(|one| one.room).collect()
    }
}

/// Returns the admission of a user to a room.
pub(super) fn admission(
    claims: Claims,
    can: Capabilities,
    options: JoinOptions,
    origin: Option<Origin>,
) -> Admission {
    Admission {
        user: claims.user,
        info: claims.info,
        can,
        expires: claims.expires,
        issued: claims.issued,
        limits: claims.limits,
        options,
        origin,
    }
}

impl Joining {
    fn restore(self) -> (RoomName, Subscription) {
        let subscription = Subscription {
            joins: self.joins,
            has_own_token: self.has_own_token,
            is_attached: true,
            ..Subscription::default()
        };
        (self.room, subscription)
    }
}

impl Subscription {
    /// Returns the form that is stored.
    pub(super) fn stored(&self, member: ConnectionId, room: &RoomName) -> StoredSubscription {
        StoredSubscription {
            member,
            room: room.clone(),
            joins: self.joins,
            messages: self.messages,
            presence: self.presence,
            has_own_token: self.has_own_token,
        }
    }

    /// Reads the stored form.
    pub(super) fn restore(stored: &StoredSubscription) -> Self {
        Self {
            joins: stored.joins,
            unanswered: Vec::new(),
            messages: stored.messages,
            presence: stored.presence,
            has_own_token: stored.has_own_token,
            is_stored: true,
            is_attached: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attachments of every version so far.
    const EARLIER: [&str; 2] = [
        r#"{"session":1,"id":"0000000000000007","user":"ann","info":{"name":"Ann"},"grants":{"receive publish":["team:*"]},"limits":{"messages_per_second":5,"message_bytes":null},"expires":1800003600000,"issued":1800000000000,"lines":true,"commands":{"full_at_us":1},"joins":{"full_at_us":2},"seen":1800000000000,"errors":[1800000000000],"origin":"https://a.example","joining":[{"room":"team:7","joins":1,"has_own_token":false}]}"#,
        r#"{"session":1,"id":"0000000000000007","user":"ann","info":{"name":"Ann"},"grants":{"receive publish":["team:*"]},"limits":{"messages_per_second":5,"message_bytes":null},"expires":1800003600000,"issued":1800000000000,"lines":true,"commands":{"full_at_us":1},"joins":{"full_at_us":2},"seen":1800000000000,"errors":[1800000000000],"origin":"https://a.example"}"#,
    ];

    #[test]
    fn restores_the_attachments_of_every_version_so_far() {
        let rules = RoomRules::by_default();
        for text in EARLIER {
            let session = GatewaySession::restore(text, &rules).unwrap();
            assert_eq!((session.user.as_str(), session.rate.per_second), ("ann", 5));
            let room = |name: &str| RoomName::parse(name).unwrap();
            let options = JoinOptions::default;
            let admission = session.admission(&room("team:7"), options()).unwrap();
            assert_eq!(admission.expires, Timestamp(1_800_003_600_000));
            assert!(session.admission(&room("other"), options()).is_none());
            assert_eq!(session.attachment(), text);
        }
    }

    fn with_rooms(patterns: impl IntoIterator<Item = String>) -> GatewaySession {
        let patterns: Vec<_> = patterns.into_iter().collect();
        let admission = SessionAdmission {
            user: UserId::parse("ann").unwrap(),
            info: None,
            grants: serde_json::from_value(serde_json::json!(patterns)).unwrap(),
            expires: Timestamp(1_800_003_600_000),
            issued: Timestamp(1_800_000_000_000),
            limits: ClaimedLimits::default(),
            lines: true,
            origin: None,
        };
        let now = Timestamp(1_800_000_000_000);
        GatewaySession::new(ConnectionId(7), admission, &RoomRules::by_default(), now)
    }

    #[test]
    fn claims_of_the_longest_token_fit_and_longer_ones_do_not() {
        // Base64 makes claims a third longer.
        let in_token = crate::limits::TOKEN_BYTES_MAX / 4 * 3;
        let names = |bytes: usize| (0..bytes / 16).map(|number| format!("room {number:08}"));
        let session = with_rooms(names(in_token));
        assert!(session.fits());
        let restored = GatewaySession::restore(&session.attachment(), &RoomRules::by_default());
        assert_eq!(restored.unwrap().grants, session.grants);
        assert!(!with_rooms(names(ATTACHMENT_BYTES_MAX)).fits());
        let long = |bytes: usize, letter: char| with_rooms([letter.to_string().repeat(bytes)]);
        let rest = SLACK_BYTES + with_rooms([String::new()]).attachment().len();
        assert!(long(ATTACHMENT_BYTES_MAX - rest, 'x').fits());
        assert!(!long(ATTACHMENT_BYTES_MAX - rest + 1, 'x').fits());
        assert!(long(ATTACHMENT_BYTES_MAX / 2 - rest, 'ж').fits());
        assert!(!long(ATTACHMENT_BYTES_MAX / 2 - rest + 1, 'ж').fits());
    }

    #[test]
    fn the_attachment_of_a_room_is_not_one_of_a_session() {
        for text in [r#"{"v":1,"closing":"ann"}"#, "", "{}"] {
            assert!(GatewaySession::restore(text, &RoomRules::by_default()).is_none());
        }
    }
}
