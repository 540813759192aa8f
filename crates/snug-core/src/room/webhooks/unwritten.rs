//! Webhook events that are recorded and not stored yet.

use std::mem::{replace, take};

use crate::{ids::UserId, limits::EVENTS_ROW_BYTES_MAX};

/// Events and changes of an input that are not stored yet.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pub(super) lines: Vec<String>,
    pub(super) is_state_changed: bool,
    pub(super) forgets_dead: bool,
    pub(super) notified: Vec<UserId>,
    pub(super) departed: Vec<UserId>,
}

impl Unwritten {
    /// Records that the back end is about to be notified of a member.
    pub(super) fn notify(&mut self, user: &UserId) {
        self.notified.push(user.clone());
        self.departed.retain(|one| one != user);
    }

    /// Records that the back end is about to be notified that a member has left.
    pub(super) fn depart(&mut self, user: &UserId) {
        self.departed.push(user.clone());
        self.notified.retain(|one| one != user);
    }

    /// Takes the events that fit one row. The last row takes the other changes with it.
    pub(super) fn take_row(&mut self) -> Self {
        let mut bytes = 0_usize;
        let fits = |line: &&String| {
            bytes = bytes.saturating_add(line.len()).saturating_add(1);
            bytes <= EVENTS_ROW_BYTES_MAX
        };
        let fitting = self.lines.iter().take_while(fits).count().max(1);
        if fitting >= self.lines.len() {
            return take(self);
        }
        let rest = self.lines.split_off(fitting);
        Self {
            lines: replace(&mut self.lines, rest),
            ..Self::default()
        }
    }

    /// Puts back events that could not be stored.
    pub(super) fn put_back(&mut self, first: Self) {
        self.lines.splice(..0, first.lines);
        self.is_state_changed |= first.is_state_changed;
        self.forgets_dead |= first.forgets_dead;
        self.notified.splice(..0, first.notified);
        self.departed.splice(..0, first.departed);
    }
}
