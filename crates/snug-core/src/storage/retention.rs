//! How much of what was said a room keeps: by number, by age, by size.

use crate::ids::{Offset, Timestamp};

/// The operator's bounds, of which the tightest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest messages; 0 keeps none.
    pub messages_max: u64,
    /// Their age.
    pub seconds_max: u64,
    /// Their size as they are stored, which holds the newest one only if it fits.
    pub bytes_max: u64,
}

/// Where the kept messages begin. What is below in any of these is gone for everybody who asks,
/// whether its row has been removed yet or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The lowest offset.
    pub offset: Offset,
    /// The earliest time.
    pub time: Timestamp,
    /// The fewest bytes of all messages before one: see [`crate::storage::batch::Batch`].
    pub bytes_before: u64,
}

/// How often rows are removed: once in so many messages, so that a message does not cost a
/// deletion of its own.
const TRIM_EVERY: u64 = 64;

/// Messages that have aged are removed at most so many times in the time that they are kept for,
/// however evenly they come: each is an alarm.
const TRIMS_PER_AGE: u64 = 10;

/// How long until the rest of what is to be removed is.
pub const TRIM_PAUSE_MS: u64 = 1000;
/// How long until what storage did not remove is tried again.
pub const TRIM_RETRY_MS: u64 = 60 * 1000;

/// Rows removed at a time: more than come in between, and few enough not to be felt.
pub const TRIM_ROWS_MAX: u64 = 256;

const _: () = assert!(TRIM_ROWS_MAX > TRIM_EVERY);

impl Retention {
    /// Whether anything is kept at all.
    pub fn keeps_any(&self) -> bool {
        self.messages_max > 0
    }

    /// Where the kept messages begin, with so many bytes stored so far in all.
    pub fn floor(&self, newest: Offset, bytes: u64, now: Timestamp) -> Floor {
        let age_ms = self.seconds_max.saturating_mul(1000);
        Floor {
            offset: Offset(newest.0.saturating_sub(self.messages_max)).next(),
            time: Timestamp(now.0.saturating_sub(age_ms)),
            bytes_before: bytes.saturating_sub(self.bytes_max),
        }
    }

    /// When to remove what has aged, where this is the time of the oldest message that is stored.
    pub fn trim_at(&self, oldest: Timestamp) -> Timestamp {
        let age_ms = self.seconds_max.saturating_mul(1000);
        let step_ms = age_ms.div_ceil(TRIMS_PER_AGE);
        oldest.plus_ms(age_ms.saturating_add(step_ms))
    }

    /// Whether it is time to remove rows, after messages were stored.
    ///
    /// By their offsets alone, so that a room that hibernates between messages comes to it too.
    pub fn is_trim_due(before: Offset, newest: Offset) -> bool {
        before.0 / TRIM_EVERY < newest.0 / TRIM_EVERY
    }
}

impl Floor {
    /// Whether a message is kept.
    pub fn keeps(&self, offset: Offset, time: Timestamp, bytes_before: u64) -> bool {
        offset >= self.offset && time >= self.time && bytes_before >= self.bytes_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn floor(messages_max: u64, seconds_max: u64, bytes_max: u64) -> Floor {
        let retention = Retention {
            messages_max,
            seconds_max,
            bytes_max,
        };
        retention.floor(Offset(10), 1000, NOW)
    }

    #[test]
    fn each_bound_keeps_its_number_and_not_one_more() {
        let many = 1 << 40;
        let by_number = floor(3, many, many);
        assert!(by_number.keeps(Offset(8), NOW, 800));
        assert!(!by_number.keeps(Offset(7), NOW, 700));
        let by_age = floor(many, 60, many);
        assert!(by_age.keeps(Offset(1), Timestamp(NOW.0 - 60_000), 0));
        assert!(!by_age.keeps(Offset(1), Timestamp(NOW.0 - 60_001), 0));
        let by_size = floor(many, many, 300);
        assert!(by_size.keeps(Offset(8), NOW, 700));
        assert!(!by_size.keeps(Offset(7), NOW, 699));
    }

    #[test]
    fn what_has_aged_is_removed_soon_and_not_one_by_one() {
        let retention = Retention {
            messages_max: 10,
            seconds_max: 60,
            bytes_max: 10,
        };
        assert_eq!(retention.trim_at(NOW), NOW.plus_ms(66_000));
        assert!(retention.floor(Offset(1), 0, NOW.plus_ms(66_000)).time > NOW);
        let for_ever = Retention {
            seconds_max: u64::MAX,
            ..retention
        };
        assert_eq!(for_ever.trim_at(NOW), Timestamp(u64::MAX));
    }

    #[test]
    fn nothing_is_kept_where_none_is_wanted() {
        let none = floor(0, 1 << 40, 1 << 40);
        assert!(!none.keeps(Offset(10), NOW, 900));
    }

    #[test]
    fn a_message_larger_than_all_that_is_kept_is_not() {
        let retention = Retention {
            messages_max: 10,
            seconds_max: 10,
            bytes_max: 99,
        };
        assert!(
            !retention
                .floor(Offset(1), 100, NOW)
                .keeps(Offset(1), NOW, 0)
        );
    }
}
