//! The note in an object's storage that something is under way over its links.
//!
//! An object that restarts after a crash cannot know which of its calls arrived. An object that only slept
//! had no calls under way. The note distinguishes the two. It is written once per busy period, not per call.

use crate::{ids::Timestamp, limits::LINK_QUIET_MS};

/// The state of the note: in storage or not, and the time since which it could be removed.
#[derive(Clone, Copy, Debug)]
pub struct BusyNote {
    is_stored: bool,
    quiet_since: Option<Timestamp>,
}

impl BusyNote {
    /// Creates the state of an object that has just woken.
    pub fn new(is_stored: bool) -> Self {
        Self {
            is_stored,
            quiet_since: None,
        }
    }

    /// Returns true if the note is in storage.
    pub fn is_stored(self) -> bool {
        self.is_stored
    }

    /// Takes whether something is under way. Returns what has to be stored: true for the note, false for
    /// its removal.
    pub fn update(&mut self, is_busy: bool, now: Timestamp) -> Option<bool> {
        if is_busy {
            self.quiet_since = None;
            let is_new = !std::mem::replace(&mut self.is_stored, true);
            return is_new.then_some(true);
        }
        if !self.is_stored {
            return None;
        }
        self.quiet_since.get_or_insert(now);
        self.quiet_from().filter(|at| *at <= now)?;
        *self = Self::new(false);
        Some(false)
    }

    /// Returns the time at which the note is removed if nothing happens before.
    pub fn quiet_from(self) -> Option<Timestamp> {
        self.quiet_since.map(|since| since.plus_ms(LINK_QUIET_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn is_written_once_in_a_busy_period_and_removed_after_a_quiet_time() {
        let mut note = BusyNote::new(false);
        assert_eq!(note.update(false, NOW), None);
        assert_eq!(note.update(true, NOW), Some(true));
        assert_eq!(note.update(true, NOW), None);
        assert_eq!(note.update(false, NOW), None);
        let quiet = NOW.plus_ms(LINK_QUIET_MS);
        assert_eq!(note.quiet_from(), Some(quiet));
        assert_eq!(note.update(false, Timestamp(quiet.0 - 1)), None);
        assert_eq!(note.update(true, Timestamp(quiet.0 - 1)), None);
        assert_eq!(note.update(false, quiet), None);
        assert_eq!(
            note.update(false, quiet.plus_ms(LINK_QUIET_MS)),
            Some(false)
        );
        assert_eq!(note.update(false, quiet.plus_ms(LINK_QUIET_MS)), None);
        assert!(!note.is_stored());
    }
}
