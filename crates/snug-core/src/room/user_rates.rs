//! The rates of a room's users. All connections and HTTP requests of a user share them.

use std::collections::BTreeMap;

use crate::{
    ids::{Timestamp, UserId},
    limits::USER_RATES_MIN,
    rate::{Bucket, Rate, SharedBucket},
};

/// The rates of users, also of those who have left a moment ago.
#[derive(Debug)]
pub(super) struct UserRates {
    users: BTreeMap<UserId, UserRate>,
    /// The size of the map at which the rates of users who have left are removed.
    forget_at: usize,
}

#[derive(Debug, Default)]
struct UserRate {
    commands: SharedBucket,
    joins: Bucket,
}

impl Default for UserRates {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            forget_at: USER_RATES_MIN,
        }
    }
}

impl UserRates {
    /// Returns the bucket of a user's commands.
    pub(super) fn commands_of(&mut self, user: &UserId, now: Timestamp) -> SharedBucket {
        self.rate_of(user, now).commands.clone()
    }

    /// Takes a join from a user's rate.
    ///
    /// # Errors
    ///
    /// The milliseconds to wait if the rate is exceeded.
    pub(super) fn take_join(
        &mut self,
        user: &UserId,
        rate: Rate,
        now: Timestamp,
    ) -> Result<(), u64> {
        self.rate_of(user, now).joins.take(rate, now)
    }

    /// Counts a join as several.
    pub(super) fn charge_joins(&mut self, user: &UserId, joins: u64, rate: Rate, now: Timestamp) {
        self.rate_of(user, now).joins.charge(rate, joins, now);
    }

    fn rate_of(&mut self, user: &UserId, now: Timestamp) -> &mut UserRate {
        if self.users.len() >= self.forget_at && !self.users.contains_key(user) {
            self.forget(now);
        }
        self.users.entry(user.clone()).or_default()
    }

    /// Removes the rates of users without a connection: those that are full again or, if too many
    /// remain, all of them.
    fn forget(&mut self, now: Timestamp) {
        self.users.retain(|_, rate| {
            rate.commands.is_shared() || !rate.commands.is_full(now) || !rate.joins.is_full(now)
        });
        if self.users.len() >= self.forget_at {
            self.users.retain(|_, rate| rate.commands.is_shared());
        }
        self.forget_at = self.users.len().saturating_mul(2).max(USER_RATES_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const SLOW: Rate = Rate {
        per_second: 1,
        burst: 1,
    };

    const JOINS: Rate = Rate {
        per_second: 5,
        burst: 3,
    };

    fn user(number: usize) -> UserId {
        UserId::parse(&number.to_string()).unwrap()
    }

    #[test]
    fn a_user_has_one_bucket_for_all_connections() {
        let mut rates = UserRates::default();
        let (one, other) = (
            rates.commands_of(&user(1), NOW),
            rates.commands_of(&user(1), NOW),
        );
        assert_eq!(one.take(SLOW, NOW), Ok(()));
        assert_eq!(other.take(SLOW, NOW), Err(1000));
        assert_eq!(rates.commands_of(&user(2), NOW).take(SLOW, NOW), Ok(()));
        drop((one, other));
        assert_eq!(rates.commands_of(&user(1), NOW).take(SLOW, NOW), Err(1000));
    }

    #[test]
    fn rates_of_users_who_have_left_are_kept_until_they_are_full() {
        let mut rates = UserRates::default();
        for number in 0..USER_RATES_MIN {
            let bucket = rates.commands_of(&user(number), NOW);
            if number < 2 {
                bucket.take(SLOW, NOW).unwrap();
            }
        }
        assert_eq!(rates.users.len(), USER_RATES_MIN);
        rates.take_join(&user(0), SLOW, NOW).unwrap();
        rates.commands_of(&user(USER_RATES_MIN), NOW);
        assert_eq!(rates.users.len(), 3);
        assert_eq!(rates.commands_of(&user(1), NOW).take(SLOW, NOW), Err(1000));
    }

    #[test]
    fn rates_are_bounded_by_the_connected_users() {
        let mut rates = UserRates::default();
        let connected: Vec<_> = (0..10)
            .map(|number| rates.commands_of(&user(number), NOW))
            .collect();
        connected[3].take(SLOW, NOW).unwrap();
        for number in 10..10 * USER_RATES_MIN {
            rates
                .commands_of(&user(number), NOW)
                .take(SLOW, NOW)
                .unwrap();
            assert!(rates.users.len() <= USER_RATES_MIN);
        }
        assert_eq!(rates.commands_of(&user(3), NOW).take(SLOW, NOW), Err(1000));
    }

    #[test]
    fn joins_have_a_rate_of_their_own() {
        let mut rates = UserRates::default();
        for _ in 0..3 {
            assert_eq!(rates.take_join(&user(1), JOINS, NOW), Ok(()));
        }
        assert_eq!(rates.take_join(&user(1), JOINS, NOW), Err(200));
        assert_eq!(rates.take_join(&user(1), JOINS, NOW.plus_ms(200)), Ok(()));
        rates.charge_joins(&user(1), 10, JOINS, NOW.plus_ms(200));
        assert_eq!(
            rates.take_join(&user(1), JOINS, NOW.plus_ms(200)),
            Err(2200)
        );
        assert_eq!(rates.commands_of(&user(1), NOW).take(SLOW, NOW), Ok(()));
    }
}
