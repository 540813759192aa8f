//! Moderation: users that have to go, and that may not come back for a while.

use super::{Asked, Room};
use crate::{
    bans::Ban,
    command::CommandId,
    error::{CloseCode, ErrorCode},
    ids::{ConnectionId, UserId},
    io::{Output, StorageFault},
    push::{Outcome, Push},
};

/// Who has to go.
#[derive(Debug)]
pub(super) struct Kick {
    pub(super) user: UserId,
    /// What the user is told, in a moderator's words.
    pub(super) reason: Option<String>,
}

impl Room {
    /// Closes a user's connections, and where it says for how long, keeps the user out.
    ///
    /// The ban is stored before anybody hears of it, so that there is none that a crash lifts.
    pub(super) fn kick(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        kick: Kick,
        ban_seconds: Option<u64>,
    ) {
        let lifts = ban_seconds == Some(0) && self.bans.holds(&kick.user);
        let Some(seconds) = ban_seconds.filter(|seconds| *seconds > 0 || lifts) else {
            return self.expel(from, id.as_ref(), &kick, CloseCode::Kicked);
        };
        if !self.bans.has_room_for(&kick.user) {
            let message = "the room has as many bans as it may";
            return self.refuse(from, id.as_ref(), ErrorCode::TooLarge, message);
        }
        let ban = Ban {
            user: kick.user.clone(),
            until: self.clock.plus_ms(seconds.saturating_mul(1000)),
        };
        self.outputs.push_back(Output::KeepBan(ban.clone()));
        self.asked = Some(Asked::Ban {
            from,
            id,
            kick,
            ban,
        });
    }

    /// Goes on with the kick whose ban was to be stored.
    pub(super) fn ban_kept(&mut self, outcome: Result<(), StorageFault>) {
        match self.asked.take() {
            Some(Asked::Ban {
                from,
                id,
                kick,
                ban,
            }) => {
                if outcome.is_err() {
                    let message = "the ban could not be stored";
                    return self.refuse(from, id.as_ref(), ErrorCode::Internal, message);
                }
                let code = if ban.until > self.clock {
                    self.bans.set(ban);
                    CloseCode::Banned
                } else {
                    // It was lifted: stored as one that is over, lest it be there again.
                    self.bans.remove(&ban.user);
                    self.outputs.push_back(Output::ForgetBan(ban.user));
                    CloseCode::Kicked
                };
                self.expel(from, id.as_ref(), &kick, code);
            }
            other => self.asked = other,
        }
    }

    /// Closes all of a user's connections. The moderator is answered first: it may be its own.
    fn expel(&mut self, from: ConnectionId, id: Option<&CommandId>, kick: &Kick, code: CloseCode) {
        let connections: Vec<_> = self.presence.connections_of(&kick.user).collect();
        if let Some(id) = id {
            let closed = connections.len();
            let outcome = Some(Outcome::Kicked { closed });
            self.reply(from, &Push::Ack { id, outcome });
        }
        let reason = kick.reason.as_deref().unwrap_or(code.reason());
        for connection in connections {
            self.close_because(connection, code, reason);
        }
        if self.presence.is_absent(&kick.user) {
            let user = kick.user.clone();
            self.tell_join_of(&user);
            self.presence.give_up(&user);
            self.outputs.push_back(Output::ForgetAbsence(user.clone()));
            self.change.leave(user);
        }
    }
}
