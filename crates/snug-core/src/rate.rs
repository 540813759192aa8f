//! A token bucket stored as one number, the time at which it will be full again (known as the
//! generic cell rate algorithm).

use std::{cell::Cell, rc::Rc};

use serde::{Deserialize, Serialize};

use crate::{ids::Timestamp, limits::HIBERNATION_IDLE_MS};

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rate {
    /// Commands added to the bucket per second; at least 1.
    pub per_second: u32,
    /// Commands in a full bucket; at least 1.
    pub burst: u32,
}

impl Rate {
    /// Returns the rate limited to `per_second`, with the burst reduced in proportion.
    pub fn tightened(self, per_second: u32) -> Self {
        if per_second >= self.per_second {
            return self;
        }
        let scaled = u64::from(self.burst).saturating_mul(per_second.into());
        let burst = scaled
            .checked_div(self.per_second.into())
            .unwrap_or_default();
        Self {
            per_second,
            burst: u32::try_from(burst).unwrap_or(self.burst).max(1),
        }
    }

    fn interval_us(self) -> u64 {
        1_000_000_u64
            .checked_div(self.per_second.into())
            .unwrap_or(u64::MAX)
    }
}

/// A bucket of commands or joins. Starts full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bucket {
    /// The time at which the bucket is full, in microseconds since 1970.
    full_at_us: u64,
}

impl Bucket {
    /// Takes one command from the bucket.
    ///
    /// # Errors
    ///
    /// The milliseconds to wait if the bucket is empty.
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let now_us = now.0.saturating_mul(1000);
        let full_at_us = self
            .full_at_us
            .max(now_us)
            .saturating_add(rate.interval_us());
        let capacity_us = rate.interval_us().saturating_mul(rate.burst.into());
        let short_us = full_at_us
            .saturating_sub(now_us)
            .saturating_sub(capacity_us);
        if short_us > 0 {
            return Err(short_us.div_ceil(1000));
        }
        self.full_at_us = full_at_us;
        Ok(())
    }

    /// Takes any number of commands, even more than the bucket contains. The next command then
    /// waits until the deficit is refilled.
    pub fn charge(&mut self, rate: Rate, commands: u64, now: Timestamp) {
        let now_us = now.0.saturating_mul(1000);
        let cost_us = rate.interval_us().saturating_mul(commands);
        self.full_at_us = self.full_at_us.max(now_us).saturating_add(cost_us);
    }

    /// Returns true if the bucket has at least one command.
    pub fn has_some(mut self, rate: Rate, now: Timestamp) -> bool {
        self.take(rate, now).is_ok()
    }

    /// Returns true if the bucket is full.
    pub fn is_full(self, now: Timestamp) -> bool {
        self.full_at_us <= now.0.saturating_mul(1000)
    }

    /// Returns true if the bucket will not be full by the time an idle object hibernates, so it must
    /// be stored.
    pub fn outlasts_hibernation(self, now: Timestamp) -> bool {
        self.full_at_us > now.plus_ms(HIBERNATION_IDLE_MS).0.saturating_mul(1000)
    }
}

/// A bucket that the connections of a user share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Bucket", into = "Bucket")]
pub struct SharedBucket(Rc<Cell<Bucket>>);

impl SharedBucket {
    /// Takes one command; see [`Bucket::take`].
    ///
    /// # Errors
    ///
    /// The milliseconds to wait if the bucket is empty.
    pub fn take(&self, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let mut bucket = self.0.get();
        let taken = bucket.take(rate, now);
        self.0.set(bucket);
        taken
    }

    /// Takes any number of commands; see [`Bucket::charge`].
    pub fn charge(&self, rate: Rate, commands: u64, now: Timestamp) {
        let mut bucket = self.0.get();
        bucket.charge(rate, commands, now);
        self.0.set(bucket);
    }

    /// Takes as much as was taken from another bucket of the same user, if that is more.
    pub fn merge(&self, other: &Self) {
        self.0.set(self.0.get().max(other.0.get()));
    }

    /// Returns true if the bucket is full.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.0.get().is_full(now)
    }

    /// Returns true if it has to be stored; see [`Bucket::outlasts_hibernation`].
    pub fn outlasts_hibernation(&self, now: Timestamp) -> bool {
        self.0.get().outlasts_hibernation(now)
    }

    /// Returns true if others use it.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

impl From<Bucket> for SharedBucket {
    fn from(bucket: Bucket) -> Self {
        Self(Rc::new(Cell::new(bucket)))
    }
}

impl From<SharedBucket> for Bucket {
    fn from(shared: SharedBucket) -> Self {
        shared.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn tightening_a_rate_reduces_its_burst() {
        let rate = Rate {
            per_second: 50,
            burst: 100,
        };
        let tightened = |per_second| rate.tightened(per_second);
        assert_eq!(tightened(51), rate);
        assert_eq!(tightened(50), rate);
        assert_eq!(
            tightened(5),
            Rate {
                per_second: 5,
                burst: 10
            }
        );
        let slow = Rate {
            per_second: 50,
            burst: 1,
        };
        assert_eq!(
            slow.tightened(1),
            Rate {
                per_second: 1,
                burst: 1
            }
        );
    }

    #[test]
    fn a_full_bucket_allows_exactly_its_burst() {
        let (mut bucket, now) = (Bucket::default(), Timestamp(1_000));
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, now), Ok(()));
        }
        assert_eq!(bucket.take(RATE, now), Err(100));
    }

    #[test]
    fn an_empty_bucket_allows_a_command_after_the_reported_wait() {
        let (mut bucket, now) = (Bucket::default(), Timestamp(1_000));
        while bucket.take(RATE, now).is_ok() {}
        assert_eq!(bucket.take(RATE, now.plus_ms(99)), Err(1));
        assert_eq!(bucket.take(RATE, now.plus_ms(100)), Ok(()));
        assert_eq!(bucket.take(RATE, now.plus_ms(100)), Err(100));
    }

    #[test]
    fn a_charge_delays_the_next_command() {
        let (mut bucket, now) = (Bucket::default(), Timestamp(1_000));
        bucket.charge(RATE, 5, now);
        assert_eq!(bucket.take(RATE, now), Err(300));
        assert_eq!(bucket.take(RATE, now.plus_ms(299)), Err(1));
        assert_eq!(bucket.take(RATE, now.plus_ms(300)), Ok(()));
    }

    #[test]
    fn only_a_slowly_refilled_bucket_outlasts_hibernation() {
        let now = Timestamp(1_000);
        let mut quick = Bucket::default();
        while quick
            .take(
                Rate {
                    per_second: 50,
                    burst: 500,
                },
                now,
            )
            .is_ok()
        {}
        assert!(!quick.outlasts_hibernation(now));
        let mut slow = Bucket::default();
        for _ in 0..10 {
            slow.take(
                Rate {
                    per_second: 1,
                    burst: 20,
                },
                now,
            )
            .unwrap();
        }
        assert!(!slow.outlasts_hibernation(now));
        slow.take(
            Rate {
                per_second: 1,
                burst: 20,
            },
            now,
        )
        .unwrap();
        assert!(slow.outlasts_hibernation(now));
    }
}
