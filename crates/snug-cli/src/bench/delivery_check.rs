//! Checks that each client of a room receives every message once, in order.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
    ops::AddAssign,
};

use serde::Serialize;

use super::payload::Payload;

/// The deliveries in one room, by sender and receiver.
pub struct DeliveryCheck {
    receivers: usize,
    /// The number of messages that each sender has sent.
    sent: Vec<u32>,
    received: u64,
    /// The messages of each sender that each receiver has received: first those of receiver 0, then of receiver 1, and
    /// so on.
    sequences: Vec<Sequence>,
    /// The offset that each receiver received last, if the server sends offsets.
    offsets: Vec<u64>,
    faults: Faults,
}

/// The message numbers of one sender that one receiver has received.
#[derive(Clone, Default)]
struct Sequence {
    highest: u32,
    missing: BTreeSet<u32>,
}

/// The number of faulty deliveries, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Copies that were never delivered.
    pub lost: u64,
    /// Copies that were delivered more than once.
    pub duplicated: u64,
    /// Copies that were delivered after a later message of the same sender.
    pub reordered: u64,
    /// Copies that skip or repeat an offset.
    pub misplaced: u64,
    /// Messages that the server did not store or did not ack.
    pub unstored: u64,
}

impl DeliveryCheck {
    /// Creates the check of a room with this many receivers, some of which also send.
    pub fn new(receivers: usize, senders: usize) -> Self {
        Self {
            receivers,
            sent: vec![0; senders],
            received: 0,
            sequences: vec![Sequence::default(); receivers * senders],
            offsets: vec![0; receivers],
            faults: Faults::default(),
        }
    }

    /// Records that a message is sent, and returns its number.
    pub fn send(&mut self, sender: usize) -> u32 {
        self.sent[sender] += 1;
        self.sent[sender]
    }

    /// Records that a copy is delivered.
    pub fn receive(&mut self, receiver: usize, payload: &Payload, offset: Option<u64>) {
        self.received += 1;
        let sequence = &mut self.sequences[receiver * self.sent.len() + payload.sender as usize];
        if payload.number > sequence.highest {
            sequence
                .missing
                .extend(sequence.highest + 1..payload.number);
            sequence.highest = payload.number;
        } else if sequence.missing.remove(&payload.number) {
            self.faults.reordered += 1;
        } else {
            self.faults.duplicated += 1;
        }
        if let Some(offset) = offset {
            let last = &mut self.offsets[receiver];
            self.faults.misplaced += u64::from(offset != *last + 1);
            *last = offset;
        }
    }

    /// Returns the number of messages sent.
    pub fn sent(&self) -> u64 {
        self.sent.iter().copied().map(u64::from).sum()
    }

    /// Returns true if all copies have been delivered.
    pub fn is_complete(&self) -> bool {
        self.received >= self.sent() * self.receivers as u64
    }

    /// Returns the faults, assuming that nothing more is delivered.
    pub fn faults(&self) -> Faults {
        let lost = |(sequence, sent): (&Sequence, &u32)| {
            u64::from(sent - sequence.highest) + sequence.missing.len() as u64
        };
        let sent = self.sent.iter().cycle();
        Faults {
            lost: self.sequences.iter().zip(sent).map(lost).sum(),
            ..self.faults
        }
    }
}

impl Faults {
    /// Returns true if there are no faults.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Display for Faults {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            (self.misplaced, "misplaced"),
            (self.unstored, "unstored"),
        ];
        let shown: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        out.write_str(if shown.is_empty() { "none" } else { "" })?;
        out.write_str(&shown.join(", "))
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.misplaced += other.misplaced;
        self.unstored += other.unstored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a check of two clients that send and receive. The first has sent three messages.
    fn room() -> DeliveryCheck {
        let mut deliveries = DeliveryCheck::new(2, 2);
        assert_eq!([0; 3].map(|sender| deliveries.send(sender)), [1, 2, 3]);
        deliveries
    }

    fn receive(deliveries: &mut DeliveryCheck, receiver: usize, numbers: &[u32]) {
        for &number in numbers {
            let payload = Payload {
                sender: 0,
                room: 0,
                number,
                due: 0,
            };
            deliveries.receive(receiver, &payload, None);
        }
    }

    #[test]
    fn has_no_faults_if_all_copies_are_delivered_once() {
        let mut deliveries = room();
        receive(&mut deliveries, 0, &[1, 2, 3]);
        assert!(!deliveries.is_complete());
        receive(&mut deliveries, 1, &[1, 2, 3]);
        assert!(deliveries.is_complete());
        assert!(deliveries.faults().is_none());
        assert_eq!(deliveries.sent(), 3);
    }

    #[test]
    fn counts_missing_copies_as_lost() {
        let mut deliveries = room();
        receive(&mut deliveries, 0, &[1, 3]);
        receive(&mut deliveries, 1, &[1]);
        let lost = 3;
        assert_eq!(
            deliveries.faults(),
            Faults {
                lost,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn counts_repeated_copies_as_duplicated() {
        let mut deliveries = room();
        receive(&mut deliveries, 0, &[1, 1, 2, 3]);
        receive(&mut deliveries, 1, &[1, 2, 3, 2]);
        let duplicated = 2;
        assert_eq!(
            deliveries.faults(),
            Faults {
                duplicated,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn counts_late_copies_as_reordered_and_not_lost() {
        let mut deliveries = room();
        receive(&mut deliveries, 0, &[2, 1, 3]);
        receive(&mut deliveries, 1, &[1, 2, 3]);
        let reordered = 1;
        assert_eq!(
            deliveries.faults(),
            Faults {
                reordered,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn counts_gaps_in_offsets_as_misplaced() {
        let mut deliveries = DeliveryCheck::new(1, 1);
        for offset in [1, 2, 4, 3] {
            let number = deliveries.send(0);
            let payload = Payload {
                sender: 0,
                room: 0,
                number,
                due: 0,
            };
            deliveries.receive(0, &payload, Some(offset));
        }
        let misplaced = 2;
        assert_eq!(
            deliveries.faults(),
            Faults {
                misplaced,
                ..Faults::default()
            }
        );
    }
}
