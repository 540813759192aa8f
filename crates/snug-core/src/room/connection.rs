//! A connection, and the attachment that keeps it during hibernation.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    auth::{Admission, Mode, token::Claims},
    capability::Capabilities,
    config::RoomRules,
    fan_out::Class,
    ids::{ConnectionId, Origin, Timestamp, UserId},
    link::Via,
    protocol::wire::Wire,
    rate::{Rate, SharedBucket},
    room::subscription::Subscription,
    session::Session,
};

/// The `v` of attachments. Earlier versions of Snug read only attachments with this number.
///
/// A deployment keeps the sockets of a sleeping room, and a rollback does, too, so each version has to
/// read the attachments of the one before it and of the one after it. A new field therefore needs a
/// default, and a field that later versions do not need is still written for one version.
pub(super) const VERSION: u8 = 1;

/// A connection of a user to the room: one WebSocket, which is a session with one subscription, or a subscription of
/// a session that a gateway holds.
///
/// Everything that a reply may depend on is either here or in storage, so that no client notices
/// when the room is dropped and restored.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The socket.
    pub session: Session,
    /// The user's place in the room.
    pub subscription: Subscription,
}

/// The attachment. It has the fields of both parts side by side, because earlier versions of Snug do not
/// tell them apart.
#[derive(Serialize, Deserialize)]
struct Attachment {
    #[serde(default = "version")]
    v: u8,
    id: ConnectionId,
    user: UserId,
    info: Option<Rc<RawValue>>,
    can: Capabilities,
    expires: Timestamp,
    /// Attachments of versions that did not record it count as issued long ago.
    #[serde(default)]
    issued: Timestamp,
    joined: Timestamp,
    since: Timestamp,
    state: Option<Rc<RawValue>>,
    lines: bool,
    echo: bool,
    presence: bool,
    #[serde(default, skip_serializing_if = "Mode::is_full")]
    mode: Mode,
    rate: Rate,
    message_bytes_max: usize,
    bucket: SharedBucket,
    seen: Timestamp,
    /// Attachments of versions that did not record it count as long quiet.
    #[serde(default)]
    active: Timestamp,
    errors: Vec<Timestamp>,
    #[serde(default)]
    origin: Option<Origin>,
}

/// Returns the version, for attachments without one.
pub(super) fn version() -> u8 {
    VERSION
}

impl Connection {
    /// Creates a connection from an admission.
    pub fn new(
        id: ConnectionId,
        via: Via,
        admission: Admission,
        since: Timestamp,
        rules: &RoomRules,
        now: Timestamp,
    ) -> Self {
        let session = Session {
            id,
            via,
            wire: Wire::of(admission.options.lines),
            expires: admission.expires,
            // Not later than the join, so that a cookie session, which always counts as new at a join,
            // can be ended.
            issued: admission.issued.min(now),
            origin: admission.origin,
            seen: now,
            errors: Vec::new(),
            is_refreshing: false,
        };
        let mut subscription = Subscription {
            user: admission.user,
            info: admission.info,
            can: admission.can,
            joined: now,
            since,
            state: None,
            echo: admission.options.echo,
            presence: admission.options.presence,
            mode: admission.options.mode,
            rate: rules.rate,
            message_bytes_max: rules.message_bytes_max,
            bucket: SharedBucket::default(),
            active: now,
            throttled: 0,
        };
        subscription.tighten(admission.limits, rules);
        Self {
            session,
            subscription,
        }
    }

    /// Replaces the profile, capabilities, expiry and limits with those of a new token.
    pub fn refresh(
        &mut self,
        claims: Claims,
        can: Capabilities,
        rules: &RoomRules,
        now: Timestamp,
    ) {
        self.session.refresh(claims.issued.min(now), claims.expires);
        self.subscription.can = can;
        self.subscription.info = claims.info;
        self.subscription.tighten(claims.limits, rules);
    }

    /// Returns the class, which determines the shared lines that it gets.
    pub(crate) fn class(&self) -> Class {
        Class {
            receives_messages: self.subscription.receives_messages(),
            receives_presence: self.subscription.receives_presence(),
            wire: self.session.wire,
        }
    }

    /// Returns the attachment.
    pub fn attachment(&self) -> String {
        let (session, subscription) = (self.session.clone(), self.subscription.clone());
        let attachment = Attachment {
            v: VERSION,
            id: session.id,
            user: subscription.user,
            info: subscription.info,
            can: subscription.can,
            expires: session.expires,
            issued: session.issued,
            joined: subscription.joined,
            since: subscription.since,
            state: subscription.state,
            lines: session.wire == Wire::Lines,
            echo: subscription.echo,
            presence: subscription.presence,
            mode: subscription.mode,
            rate: subscription.rate,
            message_bytes_max: subscription.message_bytes_max,
            bucket: subscription.bucket,
            seen: session.seen,
            active: subscription.active,
            errors: session.errors,
            origin: session.origin,
        };
        serde_json::to_string(&attachment).unwrap_or_default()
    }

    /// Reads an attachment, also one of an earlier or later version; `None` if something is missing.
    pub fn restore(attachment: &str, via: Via) -> Option<Self> {
        let kept: Attachment = serde_json::from_str(attachment).ok()?;
        Some(Self {
            session: Session {
                id: kept.id,
                via,
                wire: Wire::of(kept.lines),
                expires: kept.expires,
                issued: kept.issued,
                origin: kept.origin,
                seen: kept.seen,
                errors: kept.errors,
                is_refreshing: false,
            },
            subscription: Subscription {
                user: kept.user,
                info: kept.info,
                can: kept.can,
                joined: kept.joined,
                since: kept.since,
                state: kept.state,
                echo: kept.echo,
                presence: kept.presence,
                mode: kept.mode,
                rate: kept.rate,
                message_bytes_max: kept.message_bytes_max,
                bucket: kept.bucket,
                active: kept.active,
                throttled: 0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Offset,
        auth::{JoinOptions, Position, token::ClaimedLimits},
        limits::{
            ATTACHMENT_BYTES_MAX, EPOCH_BYTES_MAX, ERRORS_MAX, INFO_BYTES_MAX, ORIGIN_BYTES_MAX,
            SAFE_INTEGER_MAX, STATE_BYTES_MAX, USER_BYTES_MAX,
        },
        protocol::json,
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn restores_a_connection_from_its_attachment() {
        let mut connection = connection();
        connection.subscription.state = Some(raw(r#"{"is":"typing"}"#));
        connection.session.record_error(NOW);
        for _ in 0..5 {
            connection.subscription.take(NOW).unwrap();
        }
        connection
            .session
            .record_activity(&rules(), NOW.plus_ms(50_000));
        let text = connection.attachment();
        let restored = Connection::restore(&text, Via::Socket).unwrap();
        assert_eq!(format!("{restored:?}"), format!("{connection:?}"));
        assert_eq!(restored.attachment(), text);
    }

    #[test]
    fn restores_the_attachments_of_every_earlier_version() {
        for text in EARLIER {
            let restored = Connection::restore(text, Via::Socket).unwrap();
            assert_eq!(restored.subscription.user.as_str(), "ann");
            // Those of the time: a token grants the others when it is renewed.
            use crate::Capability::{History, Presence, Publish, Receive, Signal};
            let can: Capabilities = [Receive, Publish, Signal, Presence, History]
                .into_iter()
                .collect();
            assert_eq!(restored.subscription.can, can);
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
        let restored = Connection::restore(&later, Via::Socket).unwrap();
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
            assert!(
                Connection::restore(&other, Via::Socket).is_none(),
                "{other}"
            );
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
        let mut connection = Connection::new(
            ConnectionId(u64::MAX),
            Via::Socket,
            Admission {
                user: UserId::parse(&"\"".repeat(USER_BYTES_MAX)).unwrap(),
                info: Some(filled(INFO_BYTES_MAX)),
                can: crate::Capability::ALL.iter().copied().collect(),
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
        );
        connection.subscription.state = Some(filled(STATE_BYTES_MAX));
        for _ in 1..ERRORS_MAX {
            assert!(!connection.session.record_error(far));
            connection.subscription.take(far).unwrap();
        }
        let text = connection.attachment();
        assert!(json::is_readable(&text));
        assert!(Connection::restore(&text, Via::Socket).is_some());
        let utf16_bytes = 2 * text.encode_utf16().count();
        assert!(utf16_bytes + 16 <= ATTACHMENT_BYTES_MAX, "{utf16_bytes}");
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
        Connection::new(ConnectionId(7), Via::Socket, admission, NOW, &rules(), NOW)
    }

    fn options() -> JoinOptions {
        JoinOptions {
            lines: false,
            echo: false,
            presence: false,
            resume: None,
            last: None,
            mode: Default::default(),
        }
    }

    fn rules() -> RoomRules {
        RoomRules::by_default()
    }

    fn raw(json: &str) -> Rc<RawValue> {
        RawValue::from_string(json.into()).unwrap().into()
    }
}
