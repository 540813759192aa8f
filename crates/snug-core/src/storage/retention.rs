//! Retention of messages by count, age and size.

use crate::ids::{Offset, Timestamp};

/// The operator's retention limits. The tightest one applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The number of messages; 0 retains none.
    pub messages_max: u64,
    /// The age of messages, in seconds.
    pub seconds_max: u64,
    /// The stored bytes. Even the newest message is retained only if it fits.
    pub bytes_max: u64,
}

/// The lower bound of retained messages. A message below any of these values is never read, even if
/// its row has not been deleted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The lowest offset.
    pub offset: Offset,
    /// The earliest time.
    pub time: Timestamp,
    /// The lowest `bytes_before` of a message: see [`crate::storage::batch::Batch`].
    pub bytes_before: u64,
}

/// The oldest row that holds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestMessages {
    /// The offset of its first message.
    pub offset: Offset,
    /// The time of its last message.
    pub time: Timestamp,
}

/// The number of messages between two trims, so that not every message costs a deletion.
const TRIM_EVERY: u64 = 64;

/// The most trims by age within the retention time, because each one needs an alarm.
const TRIMS_PER_AGE: u64 = 10;

/// The delay until the next trim if rows below the floor remain.
pub const TRIM_PAUSE_MS: u64 = 1000;
/// The delay until a failed trim is retried.
pub const TRIM_RETRY_MS: u64 = 60 * 1000;

/// The most rows deleted at a time: more than are added between two trims, but few enough not to
/// delay the room.
pub const TRIM_ROWS_MAX: u64 = 256;
/// The most reactions deleted at a time. A message has several, each in a small row of its own.
pub const REACTION_ROWS_MAX: u64 = 8 * TRIM_ROWS_MAX;

const _: () = assert!(TRIM_ROWS_MAX > TRIM_EVERY);

impl Retention {
    /// Returns true if any messages are retained.
    pub fn keeps_any(&self) -> bool {
        self.messages_max > 0
    }

    /// Returns the floor; `bytes` are the bytes stored in total.
    pub fn floor(&self, newest: Offset, bytes: u64, now: Timestamp) -> Floor {
        let age_ms = self.seconds_max.saturating_mul(1000);
        Floor {
            offset: Offset(newest.0.saturating_sub(self.messages_max)).next(),
            time: Timestamp(now.0.saturating_sub(age_ms)),
            bytes_before: bytes.saturating_sub(self.bytes_max),
        }
    }

    /// Returns the time of the next trim by age, given the time of the oldest stored message.
    pub fn trim_at(&self, oldest: Timestamp) -> Timestamp {
        let age_ms = self.seconds_max.saturating_mul(1000);
        let step_ms = age_ms.div_ceil(TRIMS_PER_AGE);
        oldest.plus_ms(age_ms.saturating_add(step_ms))
    }

    /// Returns true if a trim is due after messages were stored.
    ///
    /// It depends on the offsets only, so that a room that hibernates between messages is trimmed,
    /// too.
    pub fn is_trim_due(before: Offset, newest: Offset) -> bool {
        before.0 / TRIM_EVERY < newest.0 / TRIM_EVERY
    }
}

impl Floor {
    /// Returns true if a message is retained.
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
    fn each_limit_retains_exactly_its_number() {
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
    fn trims_aged_messages_in_groups() {
        let retention = Retention {
            messages_max: 10,
            seconds_max: 60,
            bytes_max: 10,
        };
        assert_eq!(retention.trim_at(NOW), NOW.plus_ms(66_000));
        assert!(retention.floor(Offset(1), 0, NOW.plus_ms(66_000)).time > NOW);
        let forever = Retention {
            seconds_max: u64::MAX,
            ..retention
        };
        assert_eq!(forever.trim_at(NOW), Timestamp(u64::MAX));
    }

    #[test]
    fn retains_nothing_with_a_count_of_zero() {
        let none = floor(0, 1 << 40, 1 << 40);
        assert!(!none.keeps(Offset(10), NOW, 900));
    }

    #[test]
    fn does_not_retain_a_message_larger_than_the_byte_limit() {
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
