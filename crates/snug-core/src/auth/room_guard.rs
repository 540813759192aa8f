//! Keeps users from creating rooms, and from waking rooms that are not in use, without bound.
//!
//! Only a room's object knows whether the room is in use. So the Worker counts what the objects report,
//! and stops to send them requests of a user who has reached the rate.

use std::collections::BTreeMap;

use crate::{
    capability::{Capabilities, Capability},
    ids::{Timestamp, UserId},
    limits::{ROOM_CREATORS_MAX, ROOMS_RATE, SERVE_UNUSED_ROOMS_RATE, UNUSED_ROOMS_RATE},
    names::named_enum,
    protocol::refusal::Refusal,
    rate::{Bucket, Rate},
};

named_enum! {
    /// The use of a room, as its object reports it if there is something to count: in a header of its
    /// response.
    pub enum RoomUse {
        /// The room is not in use, and the request has not changed that.
        Unused = "unused",
        /// The request has created the room.
        Created = "created",
    }
}

/// The rates of a user for rooms that are not in use. Each has its own buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomRates {
    /// The rate of requests to such rooms that do not create them.
    pub requests: Rate,
    /// The rate at which the user can create rooms.
    pub rooms: Rate,
}

impl RoomRates {
    /// Returns the rates for a user with these capabilities in the room. A back end may create as many
    /// rooms as it may ask about.
    pub fn new(can: Capabilities) -> Self {
        if can.has(Capability::Serve) {
            Self {
                requests: SERVE_UNUSED_ROOMS_RATE,
                rooms: SERVE_UNUSED_ROOMS_RATE,
            }
        } else {
            Self {
                requests: UNUSED_ROOMS_RATE,
                rooms: ROOMS_RATE,
            }
        }
    }
}

/// The rates of the users who have recently sent requests to rooms that were not in use, in one isolate.
#[derive(Debug, Default)]
pub struct RoomGuard {
    users: BTreeMap<(UserId, RoomRates), UserBuckets>,
    /// The latest time so far. If the clock is set back, buckets would seem to be empty.
    now: Timestamp,
}

#[derive(Debug, Default)]
struct UserBuckets {
    requests: Bucket,
    rooms: Bucket,
}

impl RoomGuard {
    /// Creates a guard without any memory.
    pub const fn new() -> Self {
        Self {
            users: BTreeMap::new(),
            now: Timestamp(0),
        }
    }

    /// Checks that a user may send a request to a room that may not be in use. Returns true if the
    /// request may create it.
    ///
    /// # Errors
    ///
    /// `rate_limited` if the user has sent too many to such rooms.
    pub fn check(
        &mut self,
        user: &UserId,
        rates: RoomRates,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        self.now = self.now.max(now);
        let Some(buckets) = self.users.get(&(user.clone(), rates)) else {
            return Ok(true);
        };
        let mut requests = buckets.requests;
        requests
            .take(rates.requests, self.now)
            .map_err(Refusal::rate_limited)?;
        Ok(buckets.rooms.has_some(rates.rooms, self.now))
    }

    /// Counts what the room's object has reported.
    pub fn count(&mut self, user: &UserId, rates: RoomRates, found: RoomUse, now: Timestamp) {
        self.now = self.now.max(now);
        let now = self.now;
        let key = (user.clone(), rates);
        if self.users.len() >= ROOM_CREATORS_MAX && !self.users.contains_key(&key) {
            let is_full = |one: &UserBuckets| one.requests.is_full(now) && one.rooms.is_full(now);
            self.users.retain(|_, buckets| !is_full(buckets));
            if self.users.len() >= ROOM_CREATORS_MAX {
                self.users.clear();
            }
        }
        let buckets = self.users.entry(key).or_default();
        match found {
            RoomUse::Unused => buckets.requests.charge(rates.requests, 1, now),
            RoomUse::Created => buckets.rooms.charge(rates.rooms, 1, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const RATES: RoomRates = RoomRates {
        requests: Rate {
            per_second: 10,
            burst: 5,
        },
        rooms: Rate {
            per_second: 1,
            burst: 2,
        },
    };

    fn user(number: usize) -> UserId {
        UserId::parse(&number.to_string()).unwrap()
    }

    #[test]
    fn requests_to_unused_rooms_have_a_rate_per_user() {
        let mut guard = RoomGuard::new();
        for _ in 0..5 {
            assert_eq!(guard.check(&user(1), RATES, NOW), Ok(true));
            guard.count(&user(1), RATES, RoomUse::Unused, NOW);
        }
        let limited = Err(Refusal::RateLimited { seconds: 1 });
        assert_eq!(guard.check(&user(1), RATES, NOW), limited);
        // The time does not go back.
        assert_eq!(guard.check(&user(1), RATES, Timestamp(0)), limited);
        assert_eq!(guard.check(&user(2), RATES, NOW), Ok(true));
        assert_eq!(guard.check(&user(1), RATES, NOW.plus_ms(100)), Ok(true));
    }

    #[test]
    fn requests_to_rooms_in_use_are_not_counted() {
        let mut guard = RoomGuard::new();
        for _ in 0..100 {
            assert_eq!(guard.check(&user(1), RATES, NOW), Ok(true));
        }
    }

    #[test]
    fn a_user_creates_rooms_at_a_rate() {
        let mut guard = RoomGuard::new();
        for _ in 0..2 {
            assert_eq!(guard.check(&user(1), RATES, NOW), Ok(true));
            guard.count(&user(1), RATES, RoomUse::Created, NOW);
        }
        assert_eq!(guard.check(&user(1), RATES, NOW), Ok(false));
        assert_eq!(guard.check(&user(1), RATES, NOW.plus_ms(1_000)), Ok(true));
    }

    #[test]
    fn a_user_has_buckets_for_each_pair_of_rates() {
        let mut guard = RoomGuard::new();
        for _ in 0..2 {
            guard.count(&user(1), RATES, RoomUse::Created, NOW);
        }
        let faster = RoomRates {
            rooms: RATES.requests,
            ..RATES
        };
        assert_eq!(guard.check(&user(1), RATES, NOW), Ok(false));
        assert_eq!(guard.check(&user(1), faster, NOW), Ok(true));
    }

    #[test]
    fn the_memory_of_users_is_bounded() {
        let mut guard = RoomGuard::new();
        for number in 0..3 * ROOM_CREATORS_MAX {
            guard.count(&user(number), RATES, RoomUse::Created, NOW);
            assert!(guard.users.len() <= ROOM_CREATORS_MAX);
        }
    }
}
