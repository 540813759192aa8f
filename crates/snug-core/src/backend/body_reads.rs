//! The request bodies that an isolate reads at once.

use crate::{
    backend::api::BODY_TOO_LONG,
    ids::Timestamp,
    limits::{BODIES_BYTES_MAX, BODY_BYTES_MIN, BODY_MS_MAX, FRAME_BYTES_MAX},
    protocol::refusal::Refusal,
};

/// The request bodies that an isolate is reading.
///
/// The runtime drops a request whose client disconnects, and does not tell the Worker. So a read counts
/// until it has ended, or until it would have been given up.
#[derive(Debug, Default)]
pub struct BodyReads {
    last: u64,
    open: Vec<BodyRead>,
}

#[derive(Debug)]
struct BodyRead {
    number: u64,
    bytes: usize,
    until: Timestamp,
}

impl BodyReads {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self {
            last: 0,
            open: Vec::new(),
        }
    }

    /// Starts the read of a body, and returns its number. `length` is the body's announced length, if any.
    ///
    /// # Errors
    ///
    /// - `too_large` if the body announces more than a body may have.
    /// - `overloaded` if all bodies together would be longer than [`BODIES_BYTES_MAX`].
    pub fn start(&mut self, length: Option<u64>, now: Timestamp) -> Result<u64, Refusal> {
        let length = length.map_or(Ok(FRAME_BYTES_MAX), usize::try_from);
        let length = length.ok().filter(|bytes| *bytes <= FRAME_BYTES_MAX);
        let bytes = length.ok_or(BODY_TOO_LONG)?.max(BODY_BYTES_MIN);
        self.open.retain(|read| read.until > now);
        let others = self.open.iter().map(|read| read.bytes).sum::<usize>();
        if others.saturating_add(bytes) > BODIES_BYTES_MAX {
            return Err(Refusal::Overloaded);
        }
        self.last = self.last.wrapping_add(1);
        self.open.push(BodyRead {
            number: self.last,
            bytes,
            until: now.plus_ms(BODY_MS_MAX),
        });
        Ok(self.last)
    }

    /// Ends a read.
    pub fn end(&mut self, number: u64) {
        self.open.retain(|read| read.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_body_may_announce_as_much_as_it_may_have() {
        let mut reads = BodyReads::new();
        assert_eq!(reads.start(Some(MIB), NOW), Ok(1));
        for length in [MIB + 1, u64::MAX] {
            assert_eq!(reads.start(Some(length), NOW), Err(BODY_TOO_LONG));
        }
    }

    #[test]
    fn the_bodies_that_are_being_read_are_limited_together() {
        for (length, count) in [
            (Some(MIB), 32),
            (None, 32),
            (Some(0), 2048),
            (Some(16 * 1024), 2048),
        ] {
            let mut reads = BodyReads::new();
            for number in 1..=count {
                assert_eq!(reads.start(length, NOW), Ok(number));
            }
            assert_eq!(
                reads.start(length, NOW),
                Err(Refusal::Overloaded),
                "{length:?}"
            );
            reads.end(7);
            assert_eq!(reads.start(length, NOW), Ok(count + 1));
        }
    }

    #[test]
    fn a_read_whose_end_is_never_reported_counts_for_ten_seconds() {
        let mut reads = BodyReads::new();
        while reads.start(None, NOW).is_ok() {}
        assert_eq!(
            reads.start(None, NOW.plus_ms(9_999)),
            Err(Refusal::Overloaded)
        );
        assert_eq!(reads.start(None, NOW.plus_ms(10_000)), Ok(33));
    }
}
