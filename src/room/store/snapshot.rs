//! The state that a room reads from its database when it wakes; and erasure.

use snug_core::{Epoch, Offset, RoomSnapshot, TaskId, Timestamp};
use worker::Result;

use crate::{
    object::database::{Database, corrupt},
    platform,
};

impl Database {
    /// Loads the snapshot from which a room is restored. `source` is the prefix of its event ids, `alarm`
    /// the time for which its alarm is set.
    pub fn load(&self, source: &str, alarm: Option<Timestamp>) -> Result<RoomSnapshot> {
        let epoch = self.meta("epoch")?.ok_or_else(|| corrupt("epoch"))?;
        let (newest, newest_time, bytes) = self.newest_messages()?;
        Ok(RoomSnapshot {
            epoch: Epoch::new(&epoch),
            newest,
            newest_time,
            bytes,
            oldest: self.oldest_messages(Offset::default())?,
            has_changed: self.has_changed_messages()?,
            has_reads: self.has_reads()?,
            absences: self.absences()?,
            bans: self.bans()?,
            ended_tokens: self.ended_tokens()?,
            events: self.load_events(source)?,
            links: self.links()?,
            members: self.members()?,
            is_amid_calls: self.is_amid_calls()?,
            first_task: TaskId(platform::random()?),
            alarm,
        })
    }

    /// Erases messages, their changes, absences, bans, ended tokens and dead events, and begins a new epoch.
    pub fn erase(&self, epoch: &str) -> Result<Epoch> {
        platform::transaction(&self.storage, || {
            for table in [
                "messages",
                "changed_messages",
                "reactions",
                "replies",
                "reads",
                "absences",
                "bans",
                "ended_tokens",
                "dead_events",
            ] {
                self.run(&format!("DELETE FROM {table}"), [])?;
            }
            self.set_meta("epoch", epoch)
        })?;
        Ok(Epoch::new(epoch))
    }
}
