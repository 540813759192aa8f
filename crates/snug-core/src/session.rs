//! A session: the socket of one client, whatever rooms it is in.

use crate::{
    config::RoomRules,
    ids::{ConnectionId, Origin, Timestamp},
    limits::{ERROR_WINDOW_MS, ERRORS_MAX},
    link::Via,
    protocol::wire::Wire,
};

/// The part of a connection that belongs to the socket: its token, its pings, its errors, and the form of its frames.
#[derive(Clone, Debug)]
pub struct Session {
    /// The connection's id.
    pub id: ConnectionId,
    /// The way to it.
    pub via: Via,
    /// The form in which the socket receives objects.
    pub wire: Wire,
    /// Expiry of the token.
    pub expires: Timestamp,
    /// Time at which the token was issued.
    pub issued: Timestamp,
    /// The origin of the page that opened the connection, for the log.
    pub origin: Option<Origin>,
    pub(crate) seen: Timestamp,
    pub(crate) errors: Vec<Timestamp>,
    /// True while a new token is being checked.
    pub is_refreshing: bool,
}

/// Updates of `seen` per idle timeout.
///
/// `seen` has to be in the attachment, or the idle timeout would start again with every
/// hibernation. But an attachment written for every frame would cost more than the frame.
const SEEN_STEPS: u64 = 4;

impl Session {
    /// Replaces the token's times with those of a new token.
    pub(crate) fn refresh(&mut self, issued: Timestamp, expires: Timestamp) {
        (self.issued, self.expires) = (issued, expires);
    }

    /// Records that a frame arrived. Returns true if the attachment has to be written.
    pub fn record_activity(&mut self, rules: &RoomRules, now: Timestamp) -> bool {
        let stale = now.ms_since(self.seen) >= rules.idle_timeout_ms / SEEN_STEPS;
        if stale {
            self.seen = now;
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

    /// Counts an error. Returns true if the connection has to be closed for too many errors.
    pub fn record_error(&mut self, now: Timestamp) -> bool {
        self.errors.retain(|at| now.ms_since(*at) < ERROR_WINDOW_MS);
        self.errors.push(now);
        self.errors.len() >= ERRORS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn the_maximum_number_of_errors_closes_the_connection() {
        let mut session = session();
        for _ in 1..ERRORS_MAX {
            assert!(!session.record_error(NOW));
        }
        assert!(session.record_error(NOW));
    }

    #[test]
    fn errors_count_only_within_their_window() {
        let mut session = session();
        for _ in 1..ERRORS_MAX {
            session.record_error(NOW);
        }
        let mut late = session.clone();
        assert!(session.record_error(NOW.plus_ms(ERROR_WINDOW_MS - 1)));
        assert!(!late.record_error(NOW.plus_ms(ERROR_WINDOW_MS)));
    }

    #[test]
    fn writes_the_time_of_the_last_frame_in_steps() {
        let (mut session, rules) = (session(), RoomRules::by_default());
        let step_ms = rules.idle_timeout_ms / SEEN_STEPS;
        assert!(!session.record_activity(&rules, NOW.plus_ms(step_ms - 1)));
        assert!(session.record_activity(&rules, NOW.plus_ms(step_ms)));
        assert!(!session.record_activity(&rules, NOW.plus_ms(step_ms)));
    }

    #[test]
    fn the_idle_deadline_is_one_timeout_after_the_last_frame_or_ping() {
        let (session, rules) = (session(), RoomRules::by_default());
        let step_ms = rules.idle_timeout_ms / SEEN_STEPS;
        let from_frame = NOW.plus_ms(step_ms + rules.idle_timeout_ms);
        assert_eq!(session.idle_deadline(&rules, None), from_frame);
        assert_eq!(session.idle_deadline(&rules, Some(NOW)), from_frame);
        let pinged = NOW.plus_ms(step_ms + 7);
        let from_ping = pinged.plus_ms(rules.idle_timeout_ms);
        assert_eq!(session.idle_deadline(&rules, Some(pinged)), from_ping);
    }

    fn session() -> Session {
        Session {
            id: ConnectionId(7),
            via: Via::Socket,
            wire: Wire::Lines,
            expires: NOW.plus_ms(60_000),
            issued: NOW,
            origin: None,
            seen: NOW,
            errors: Vec::new(),
            is_refreshing: false,
        }
    }
}
