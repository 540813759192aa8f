//! What each socket of a room should have got, and what it got.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
    ops::AddAssign,
};

use serde::Serialize;

use super::stamp::Stamp;

/// The messages of one room, counted for every sender and receiver.
pub struct Ledger {
    receivers: usize,
    /// How many messages each sender has sent.
    sent: Vec<u32>,
    received: u64,
    /// What each receiver got of each sender: all of the first receiver, then of the second, and so on.
    lanes: Vec<Lane>,
    /// The offset that each receiver got last, where the server gives offsets.
    offsets: Vec<u64>,
    faults: Faults,
}

/// What one receiver got of one sender.
#[derive(Clone, Default)]
struct Lane {
    highest: u32,
    missing: BTreeSet<u32>,
}

/// What went wrong with deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Copies that never came.
    pub lost: u64,
    /// Copies that came again.
    pub duplicated: u64,
    /// Copies that came after a later message of the same sender.
    pub reordered: u64,
    /// Copies whose offset was not one more than that of the copy before.
    pub misplaced: u64,
    /// Messages that the server has not stored, or not said that it has.
    pub unstored: u64,
}

impl Ledger {
    /// A room where `senders` of the sockets speak and `receivers` listen.
    pub fn new(receivers: usize, senders: usize) -> Self {
        Self {
            receivers,
            sent: vec![0; senders],
            received: 0,
            lanes: vec![Lane::default(); receivers * senders],
            offsets: vec![0; receivers],
            faults: Faults::default(),
        }
    }

    /// Counts a message that is about to be sent, and gives its number.
    pub fn send(&mut self, sender: usize) -> u32 {
        self.sent[sender] += 1;
        self.sent[sender]
    }

    /// Counts a copy that came.
    pub fn receive(&mut self, receiver: usize, stamp: &Stamp, offset: Option<u64>) {
        self.received += 1;
        let lane = &mut self.lanes[receiver * self.sent.len() + stamp.sender as usize];
        if stamp.number > lane.highest {
            lane.missing.extend(lane.highest + 1..stamp.number);
            lane.highest = stamp.number;
        } else if lane.missing.remove(&stamp.number) {
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

    /// How many messages have been sent.
    pub fn sent(&self) -> u64 {
        self.sent.iter().copied().map(u64::from).sum()
    }

    /// Whether as many copies have come as should.
    pub fn is_settled(&self) -> bool {
        self.received >= self.sent() * self.receivers as u64
    }

    /// What has gone wrong, if nothing comes any more.
    pub fn faults(&self) -> Faults {
        let lost = |(lane, sent): (&Lane, &u32)| {
            u64::from(sent - lane.highest) + lane.missing.len() as u64
        };
        let sent = self.sent.iter().cycle();
        Faults {
            lost: self.lanes.iter().zip(sent).map(lost).sum(),
            ..self.faults
        }
    }
}

impl Faults {
    /// Whether nothing went wrong.
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
        let told: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        out.write_str(if told.is_empty() { "none" } else { "" })?;
        out.write_str(&told.join(", "))
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

    /// Two senders, who also receive; the first one sends three messages.
    fn room() -> Ledger {
        let mut ledger = Ledger::new(2, 2);
        assert_eq!([0; 3].map(|sender| ledger.send(sender)), [1, 2, 3]);
        ledger
    }

    fn receive(ledger: &mut Ledger, receiver: usize, numbers: &[u32]) {
        for &number in numbers {
            let stamp = Stamp {
                sender: 0,
                number,
                due: 0,
            };
            ledger.receive(receiver, &stamp, None);
        }
    }

    #[test]
    fn nothing_is_wrong_when_all_got_all() {
        let mut ledger = room();
        receive(&mut ledger, 0, &[1, 2, 3]);
        assert!(!ledger.is_settled());
        receive(&mut ledger, 1, &[1, 2, 3]);
        assert!(ledger.is_settled());
        assert!(ledger.faults().is_none());
        assert_eq!(ledger.sent(), 3);
    }

    #[test]
    fn what_never_came_is_lost() {
        let mut ledger = room();
        receive(&mut ledger, 0, &[1, 3]);
        receive(&mut ledger, 1, &[1]);
        let lost = 3;
        assert_eq!(
            ledger.faults(),
            Faults {
                lost,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn what_came_again_is_duplicated() {
        let mut ledger = room();
        receive(&mut ledger, 0, &[1, 1, 2, 3]);
        receive(&mut ledger, 1, &[1, 2, 3, 2]);
        let duplicated = 2;
        assert_eq!(
            ledger.faults(),
            Faults {
                duplicated,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn what_came_late_is_reordered_and_not_lost() {
        let mut ledger = room();
        receive(&mut ledger, 0, &[2, 1, 3]);
        receive(&mut ledger, 1, &[1, 2, 3]);
        let reordered = 1;
        assert_eq!(
            ledger.faults(),
            Faults {
                reordered,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn offsets_rise_by_one() {
        let mut ledger = Ledger::new(1, 1);
        for offset in [1, 2, 4, 3] {
            let number = ledger.send(0);
            let stamp = Stamp {
                sender: 0,
                number,
                due: 0,
            };
            ledger.receive(0, &stamp, Some(offset));
        }
        let misplaced = 2;
        assert_eq!(
            ledger.faults(),
            Faults {
                misplaced,
                ..Faults::default()
            }
        );
    }
}
