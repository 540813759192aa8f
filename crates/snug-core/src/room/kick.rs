//! Moderation: kicking and banning users.

use super::{ReplyTo, Room};
use crate::{
    ids::{Timestamp, UserId},
    limits::BANS_MAX,
    log::{LogEvent, LogLine},
    protocol::error::CloseCode,
    reply::{Failure, Reply},
    room::{actor::Actor, bans::Ban},
    storage::store::Store,
};

/// A user to kick.
#[derive(Debug)]
pub(super) struct Kick {
    pub(super) user: UserId,
    /// The moderator's reason, which the user's clients receive.
    pub(super) reason: Option<String>,
    /// The moderator.
    pub(super) by: Actor,
}

const TOO_MANY_BANS: Failure =
    Failure::TooLarge("the room has the maximum number of bans: lift one first");

impl<S: Store> Room<S> {
    /// Closes a user's connections. With `ban_seconds`, also bans the user, or lifts the ban if it
    /// is 0.
    ///
    /// The ban is stored before any client is notified, so that a crash cannot lift it.
    pub(super) fn kick(&mut self, reply_to: ReplyTo, kick: Kick, ban_seconds: Option<u64>) {
        self.remove_ended_bans();
        let lifts = ban_seconds == Some(0) && self.bans.contains(&kick.user);
        let Some(seconds) = ban_seconds.filter(|seconds| *seconds > 0 || lifts) else {
            return self.kick_user(&reply_to, &kick, LogEvent::Kick, None);
        };
        if !self.bans.has_room_for(&kick.user, BANS_MAX) {
            return self.answer(&reply_to, Err(TOO_MANY_BANS));
        }
        let ban = Ban {
            user: kick.user.clone(),
            until: self.clock.plus_ms(seconds.saturating_mul(1000)),
        };
        if self.store.store_ban(&ban).is_err() {
            let failure = Failure::Internal("the ban could not be stored");
            return self.answer(&reply_to, Err(failure));
        }
        if ban.until > self.clock {
            let until = Some(ban.until);
            self.bans.set(ban);
            self.kick_user(&reply_to, &kick, LogEvent::Ban, until);
        } else {
            // The ban was lifted. It was stored as ended first, because a deletion that fails would
            // leave it in place.
            self.bans.remove(&ban.user);
            self.store.delete_ban(&ban.user);
            self.kick_user(&reply_to, &kick, LogEvent::Unban, None);
        }
    }

    /// Removes the bans that have ended, so that they do not count toward the maximum.
    pub(super) fn remove_ended_bans(&mut self) {
        while let Some(user) = self.bans.pop_expired(self.clock) {
            self.store.delete_ban(&user);
        }
    }

    /// Closes all of a user's connections. The moderator gets the reply first, because one of the
    /// connections may be the moderator's own.
    fn kick_user(
        &mut self,
        reply_to: &ReplyTo,
        kick: &Kick,
        event: LogEvent,
        until: Option<Timestamp>,
    ) {
        let code = match event {
            LogEvent::Ban => CloseCode::Banned,
            _ => CloseCode::Kicked,
        };
        let connections: Vec<_> = self.roster.connections_of(&kick.user).collect();
        let closed = connections.len();
        self.answer(reply_to, Ok(Reply::Closed { closed }));
        let line = LogLine {
            user: Some(kick.user.clone()),
            closed: Some(closed),
            until,
            ..LogLine::new(event, Some(self.name.clone()))
        };
        let reference = self.log_action(line.with_code(code), &kick.by);
        let reason = kick.reason.as_deref().unwrap_or(code.reason());
        for connection in connections {
            self.close_because(connection, code, reason, reference);
        }
        // This includes messages of connections that have already ended.
        self.hook_queue.drop_messages_by(&kick.user);
        self.evict_absent(&kick.user);
    }

    /// Ends a member's grace period early: the member leaves now.
    pub(super) fn evict_absent(&mut self, user: &UserId) {
        if self.roster.presence().is_absent(user) {
            self.flush_pending_join(user);
            self.roster.evict_absent(user);
            self.store.delete_absence(user);
            self.record_leave(user);
            self.presence_diff.leave(user.clone());
        }
    }
}
