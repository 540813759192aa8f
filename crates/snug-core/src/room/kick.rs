//! Moderation: kicking and banning users.

use super::{PendingQuery, ReplyTo, Room};
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

/// A user to kick.
#[derive(Debug)]
pub(super) struct Kick {
    pub(super) user: UserId,
    /// The moderator's reason, which the user's clients receive.
    pub(super) reason: Option<String>,
}

impl Room {
    /// Closes a user's connections. With `ban_seconds`, also bans the user, or lifts the ban if it
    /// is 0.
    ///
    /// The ban is stored before any client is notified, so that a crash cannot lift it.
    pub(super) fn kick(&mut self, reply_to: ReplyTo, kick: Kick, ban_seconds: Option<u64>) {
        let lifts = ban_seconds == Some(0) && self.bans.contains(&kick.user);
        let Some(seconds) = ban_seconds.filter(|seconds| *seconds > 0 || lifts) else {
            return self.kick_user(&reply_to, &kick, CloseCode::Kicked);
        };
        if !self.bans.has_room_for(&kick.user) {
            return self.reject_ban(&reply_to);
        }
        let ban = Ban {
            user: kick.user.clone(),
            until: self.clock.plus_ms(seconds.saturating_mul(1000)),
        };
        self.outputs.push_back(Output::StoreBan(ban.clone()));
        self.pending_query = Some(PendingQuery::Ban {
            reply_to,
            kick,
            ban,
        });
    }

    fn reject_ban(&mut self, reply_to: &ReplyTo) {
        const TOO_MANY: &str = "the room has the maximum number of bans: lift one first";
        match reply_to {
            ReplyTo::Command { from, id } => {
                self.refuse(*from, id.as_ref(), ErrorCode::TooLarge, TOO_MANY);
            }
            ReplyTo::Api(id) => self.respond(*id, Err(Refusal::TooLarge(TOO_MANY))),
        }
    }

    /// Completes a kick once its ban is stored.
    pub(super) fn ban_stored(&mut self, outcome: Result<(), StorageFault>) {
        match self.pending_query.take() {
            Some(PendingQuery::Ban {
                reply_to,
                kick,
                ban,
            }) => {
                if outcome.is_err() {
                    return self.fail(&reply_to, "the ban could not be stored");
                }
                let code = if ban.until > self.clock {
                    self.bans.set(ban);
                    CloseCode::Banned
                } else {
                    // The ban was lifted. It was stored as ended first, because a deletion that
                    // fails would leave it in place.
                    self.bans.remove(&ban.user);
                    self.outputs.push_back(Output::DeleteBan(ban.user));
                    CloseCode::Kicked
                };
                self.kick_user(&reply_to, &kick, code);
            }
            other => self.pending_query = other,
        }
    }

    /// Closes all of a user's connections. The moderator gets the reply first, because one of the
    /// connections may be the moderator's own.
    fn kick_user(&mut self, reply_to: &ReplyTo, kick: &Kick, code: CloseCode) {
        let connections: Vec<_> = self.presence.connections_of(&kick.user).collect();
        let closed = connections.len();
        match reply_to {
            ReplyTo::Command { from, id: Some(id) } => {
                let outcome = Some(Outcome::Kicked { closed });
                self.reply(*from, &Push::Ack { id, outcome });
            }
            ReplyTo::Command { id: None, .. } => {}
            ReplyTo::Api(id) => self.respond(*id, Ok(ApiResponse::closed(closed))),
        }
        let reason = kick.reason.as_deref().unwrap_or(code.reason());
        for connection in connections {
            self.close_because(connection, code, reason);
        }
        // This includes messages of connections that have already ended.
        self.hook_queue.drop_messages_by(&kick.user);
        self.evict_absent(&kick.user);
    }

    /// Ends a member's grace period early: the member leaves now.
    pub(super) fn evict_absent(&mut self, user: &UserId) {
        if self.presence.is_absent(user) {
            self.flush_pending_join(user);
            self.presence.evict_absent(user);
            self.outputs.push_back(Output::DeleteAbsence(user.clone()));
            self.record_leave(user);
            self.presence_diff.leave(user.clone());
        }
    }
}
