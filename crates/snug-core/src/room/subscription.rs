//! A subscription: a user's place in one room.

use std::rc::Rc;

use serde_json::value::RawValue;

use crate::{
    auth::{Mode, token::ClaimedLimits},
    capability::{Capabilities, Capability},
    config::RoomRules,
    ids::{Timestamp, UserId},
    limits::{ERRORS_MAX, QUIET_MS, REPLY_BYTES_PER_COMMAND},
    protocol::push::ConnectionLimits,
    rate::{Rate, SharedBucket},
};

/// The part of a connection that belongs to a user's place in the room: what it may do, what it receives, how it appears to
/// others, and how fast its commands may be.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The user.
    pub user: UserId,
    /// The user's public profile, from the token.
    pub info: Option<Rc<RawValue>>,
    /// The capabilities that the token grants in this room.
    pub can: Capabilities,
    /// Time of the join.
    pub joined: Timestamp,
    /// Time since which the user is a member, perhaps by an earlier connection.
    pub since: Timestamp,
    /// The presence state, a JSON object.
    pub state: Option<Rc<RawValue>>,
    /// True if it receives its own messages.
    pub echo: bool,
    /// True if it wants presence pushes.
    pub presence: bool,
    /// The extent of what it receives.
    pub mode: Mode,
    /// Rate limit of commands.
    pub rate: Rate,
    /// Largest number of bytes of one command.
    pub message_bytes_max: usize,
    /// The rate of the user's commands.
    pub bucket: SharedBucket,
    /// Time of the join, or of the last command that shows that the room is in use.
    pub(super) active: Timestamp,
    /// Rate-limited commands minus accepted ones.
    pub(super) throttled: u32,
}

/// Updates of `active` while a room that is in use would become quiet.
const ACTIVE_STEPS: u64 = 5;

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

impl Subscription {
    /// Sets the limits to the room's, or to the token's if those are tighter.
    pub(super) fn tighten(&mut self, claimed: ClaimedLimits, rules: &RoomRules) {
        self.rate = claimed.tighten(rules.rate);
        self.message_bytes_max = claimed.message_bytes_max(rules.message_bytes_max);
    }

    /// Returns the limits for `welcome`.
    pub fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            message_bytes: self.message_bytes_max,
            messages_per_second: self.rate.per_second,
        }
    }

    /// Returns true if it receives messages.
    pub fn receives_messages(&self) -> bool {
        self.is_listed() && self.can.has(Capability::Receive)
    }

    /// Returns true if it receives presence pushes.
    pub fn receives_presence(&self) -> bool {
        self.is_listed() && self.presence && self.can.has(Capability::Presence)
    }

    /// Returns true if it makes its user a member.
    pub fn is_listed(&self) -> bool {
        self.mode == Mode::Full
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_burst_more_rate_limited_than_accepted_commands_is_a_flood() {
        let mut subscription = subscription();
        let burst = subscription.rate.burst;
        for _ in 0..burst {
            subscription.take(NOW).unwrap();
        }
        for _ in 1..burst {
            assert!(!subscription.take(NOW).unwrap_err().is_flood);
        }
        let mut patient = subscription.clone();
        assert!(subscription.take(NOW).unwrap_err().is_flood);
        let later = NOW.plus_ms(20);
        patient.take(later).unwrap();
        assert!(!patient.take(later).unwrap_err().is_flood);
    }

    fn subscription() -> Subscription {
        let rules = RoomRules::by_default();
        Subscription {
            user: UserId::parse("ann").unwrap(),
            info: None,
            can: Capabilities::default_grant(),
            joined: NOW,
            since: NOW,
            state: None,
            echo: true,
            presence: true,
            mode: Mode::Full,
            rate: rules.rate,
            message_bytes_max: rules.message_bytes_max,
            bucket: SharedBucket::default(),
            active: NOW,
            throttled: 0,
        }
    }
}
