//! Ended tokens: a user's tokens that were issued before a given moment, for example before a sign-out.

use super::Room;
use crate::{
    backend::api::ApiRequestId,
    ids::{ConnectionId, Timestamp, UserId},
    limits::ENDED_TOKENS_MAX,
    log::{LogEvent, LogLine},
    protocol::{error::CloseCode, refusal::Refusal},
    reply::Reply,
    room::{
        actor::Actor,
        user_entries::{UserEntries, UserEntry},
    },
    storage::store::Store,
};

/// The end of a user's tokens, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTokens {
    /// The tokens' user.
    pub user: UserId,
    /// The moment before which an ended token was issued.
    pub issued_before: Timestamp,
    /// The time at which the last ended token has expired anyway.
    pub until: Timestamp,
}

impl UserEntry for EndedTokens {
    fn user(&self) -> &UserId {
        &self.user
    }

    fn until(&self) -> Timestamp {
        self.until
    }
}

impl UserEntries<EndedTokens> {
    /// Returns true if the user's tokens that were issued at this time have been ended.
    pub fn include(&self, user: &UserId, issued: Timestamp, now: Timestamp) -> bool {
        self.get(user, now)
            .is_some_and(|ended| issued < ended.issued_before)
    }

    /// Checks that the token has not been ended.
    ///
    /// # Errors
    ///
    /// `token_expired` if it has.
    pub fn admit(&self, user: &UserId, issued: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        match self.include(user, issued, now) {
            true => Err(Refusal::TokenEnded),
            false => Ok(()),
        }
    }
}

impl<S: Store> Room<S> {
    /// Ends the user's tokens that were issued before a moment: closes the connections that joined with
    /// one, and refuses such tokens for `seconds` and the leeway.
    ///
    /// This is stored before any connection is closed, so that a crash cannot let them in again.
    pub(super) fn end_tokens(
        &mut self,
        id: ApiRequestId,
        by: Actor,
        user: UserId,
        issued_before: Timestamp,
        seconds: u64,
    ) {
        self.remove_past_ended_tokens();
        if !self.ended_tokens.has_room_for(&user, ENDED_TOKENS_MAX) {
            const TOO_MANY: &str = "the room has the maximum number of users with ended tokens";
            return self.respond(id, Err(Refusal::TooLarge(TOO_MANY)));
        }
        let lasts_ms = seconds
            .saturating_mul(1000)
            .saturating_add(self.rules.leeway_ms);
        let until = self.clock.plus_ms(lasts_ms);
        // Two requests may arrive in either order, and neither may let in what the other has ended.
        let earlier = self.ended_tokens.get(&user, self.clock);
        let ended = EndedTokens {
            issued_before: earlier
                .map_or(issued_before, |one| one.issued_before.max(issued_before)),
            until: earlier.map_or(until, |one| one.until.max(until)),
            user,
        };
        if self.store.store_ended_tokens(&ended).is_err() {
            return self.respond(id, Err(Refusal::Internal));
        }
        self.close_ended(id, &by, ended);
    }

    /// Closes the connections with an ended token. Their clients reconnect if they can get a new token.
    fn close_ended(&mut self, id: ApiRequestId, by: &Actor, ended: EndedTokens) {
        let is_ended = |id: &ConnectionId| {
            let connection = self.roster.get(*id);
            connection.is_some_and(|one| one.session.issued < ended.issued_before)
        };
        let of_user = self.roster.connections_of(&ended.user);
        let connections: Vec<_> = of_user.filter(is_ended).collect();
        let closed = connections.len();
        self.respond(id, Ok(Reply::Closed { closed }));
        let code = CloseCode::TokenExpired;
        let line = LogLine {
            user: Some(ended.user.clone()),
            closed: Some(closed),
            until: Some(ended.until),
            ..LogLine::new(LogEvent::EndTokens, Some(self.name.clone()))
        };
        let reference = self.log_action(line.with_code(code), by);
        self.ended_tokens.set(ended);
        for connection in connections {
            self.close_because(connection, code, code.reason(), reference);
        }
    }

    /// Removes the entries whose tokens have all expired.
    pub(super) fn remove_past_ended_tokens(&mut self) {
        while let Some(user) = self.ended_tokens.pop_expired(self.clock) {
            self.store.delete_ended_tokens(&user);
        }
    }
}
