//! Moderation: users that have to go, and that may not come back for a while.

use super::{Asked, Asker, Room};
use crate::{
    backend::api::ApiResponse,
    ids::UserId,
    protocol::{
        error::{CloseCode, ErrorCode},
        push::{Outcome, Push},
        refusal::Refusal,
    },
    room::{
        bans::Ban,
        io::{Output, StorageFault},
    },
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
    pub(super) fn kick(&mut self, asker: Asker, kick: Kick, ban_seconds: Option<u64>) {
        let lifts = ban_seconds == Some(0) && self.bans.holds(&kick.user);
        let Some(seconds) = ban_seconds.filter(|seconds| *seconds > 0 || lifts) else {
            return self.expel(&asker, &kick, CloseCode::Kicked);
        };
        if !self.bans.has_room_for(&kick.user) {
            return self.refuse_ban(&asker);
        }
        let ban = Ban {
            user: kick.user.clone(),
            until: self.clock.plus_ms(seconds.saturating_mul(1000)),
        };
        self.outputs.push_back(Output::KeepBan(ban.clone()));
        self.asked = Some(Asked::Ban { asker, kick, ban });
    }

    fn refuse_ban(&mut self, asker: &Asker) {
        const TOO_MANY: &str = "the room has as many bans as it may";
        match asker {
            Asker::Command { from, id } => {
                self.refuse(*from, id.as_ref(), ErrorCode::TooLarge, TOO_MANY);
            }
            Asker::Call(id) => self.answer(*id, Err(Refusal::TooLarge(TOO_MANY))),
        }
    }

    /// Goes on with the kick whose ban was to be stored.
    pub(super) fn ban_kept(&mut self, outcome: Result<(), StorageFault>) {
        match self.asked.take() {
            Some(Asked::Ban { asker, kick, ban }) => {
                if outcome.is_err() {
                    return self.fail(&asker, "the ban could not be stored");
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
                self.expel(&asker, &kick, code);
            }
            other => self.asked = other,
        }
    }

    /// Closes all of a user's connections. The moderator is answered first: it may be its own.
    fn expel(&mut self, asker: &Asker, kick: &Kick, code: CloseCode) {
        let connections: Vec<_> = self.presence.connections_of(&kick.user).collect();
        let closed = connections.len();
        match asker {
            Asker::Command { from, id: Some(id) } => {
                let outcome = Some(Outcome::Kicked { closed });
                self.reply(*from, &Push::Ack { id, outcome });
            }
            Asker::Command { id: None, .. } => {}
            Asker::Call(id) => self.answer(*id, Ok(ApiResponse::closed(closed))),
        }
        let reason = kick.reason.as_deref().unwrap_or(code.reason());
        for connection in connections {
            self.close_because(connection, code, reason);
        }
        // What came by a connection that is gone already, too.
        self.court.forget_messages_by(&kick.user);
        self.give_up(&kick.user);
    }

    /// Lets a user go who has dropped and may be back.
    pub(super) fn give_up(&mut self, user: &UserId) {
        if self.presence.is_absent(user) {
            self.tell_join_of(user);
            self.presence.give_up(user);
            self.outputs.push_back(Output::ForgetAbsence(user.clone()));
            self.note_leave(user);
            self.change.leave(user.clone());
        }
    }
}
