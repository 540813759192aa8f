//! The way of a delivery.

use std::collections::BTreeSet;

use crate::{
    backend::webhook::{Delivery, OutgoingEvent},
    ids::{Epoch, Offset, TaskId, Timestamp, UserId},
};

/// The state of the next delivery. A room sends one at a time, which keeps the order of events.
#[derive(Debug, Default)]
pub(super) enum Sending {
    /// Nothing: if events wait, the alarm is set.
    #[default]
    Idle,
    /// The alarm has rung: the events are about to be read and sent.
    Due,
    /// A request is under way.
    InFlight(InFlight),
    /// The events were accepted or given up: their rows are about to be deleted. If the storage fails,
    /// the next input tries again.
    Settling(Settled),
}

/// A delivery that was sent and has no result yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) task: TaskId,
    pub(super) delivery: Delivery,
    /// The time at which the delivery counts as lost.
    pub(super) until: Timestamp,
}

/// The changes to store when settled rows are deleted.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The events that were given up.
    pub(super) dead: Vec<OutgoingEvent>,
    /// The users whose shares have changed.
    pub(super) users: BTreeSet<UserId>,
}

impl Sending {
    /// Takes the contents of deleted messages out of the events.
    pub(super) fn forget_contents_of(&mut self, deleted: &BTreeSet<Offset>, epoch: &Epoch) {
        match self {
            Self::InFlight(in_flight) => in_flight.delivery.forget_contents_of(deleted, epoch),
            Self::Settling(settled) => {
                for event in &mut settled.dead {
                    event.forget_contents_of(deleted, epoch);
                }
            }
            Self::Idle | Self::Due => {}
        }
    }

    /// Takes the delivery whose result arrives; `None` if the result is not that of the latest delivery.
    pub(super) fn take_in_flight(&mut self, task: TaskId) -> Option<Delivery> {
        match self {
            Self::InFlight(in_flight) if in_flight.task == task => self.take_lost(),
            _ => None,
        }
    }

    /// Takes a delivery whose result will not arrive any more; `None` if none is under way.
    pub(super) fn take_lost(&mut self) -> Option<Delivery> {
        match std::mem::take(self) {
            Self::InFlight(in_flight) => Some(in_flight.delivery),
            other => {
                *self = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(task: u64) -> Sending {
        Sending::InFlight(InFlight {
            task: TaskId(task),
            delivery: Delivery::new("room".into(), task),
            until: Timestamp(1),
        })
    }

    #[test]
    fn only_the_result_of_the_latest_delivery_ends_it() {
        let mut sending = in_flight(7);
        assert!(sending.take_in_flight(TaskId(6)).is_none());
        assert!(matches!(sending, Sending::InFlight(_)));
        assert!(sending.take_in_flight(TaskId(7)).is_some());
        assert!(matches!(sending, Sending::Idle));
        assert!(sending.take_in_flight(TaskId(7)).is_none());
    }

    #[test]
    fn a_lost_delivery_ends_and_other_states_stay() {
        let mut sending = in_flight(7);
        assert!(sending.take_lost().is_some() && sending.take_lost().is_none());
        let mut settling = Sending::Settling(Settled::default());
        assert!(settling.take_lost().is_none());
        assert!(matches!(settling, Sending::Settling(_)));
    }
}
