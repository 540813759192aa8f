//! Refreshing a connection's token.

use super::Room;
use crate::{
    auth::token::Claims,
    capability::Capabilities,
    ids::ConnectionId,
    link::Via,
    protocol::{
        command::CommandId,
        error::{CloseCode, ErrorCode},
        refusal::Refusal,
    },
    reply::Reply,
    room::io::Output,
    secret::Secret,
    storage::store::Store,
};

impl<S: Store> Room<S> {
    /// Starts the check of a new token. The connection stays usable during the check.
    pub(super) fn refresh(&mut self, from: ConnectionId, id: Option<CommandId>, token: Secret) {
        let Some(connection) = self.roster.get_mut(from) else {
            return;
        };
        if std::mem::replace(&mut connection.session.is_refreshing, true) {
            let message = "the previous 'refresh' is still pending";
            return self.refuse(from, id.as_ref(), ErrorCode::RateLimited, message);
        }
        if connection.session.via != Via::Socket {
            self.linked.token_checks = self.linked.token_checks.saturating_add(1);
        }
        self.outputs.push_back(Output::CheckToken {
            connection: from,
            id,
            token,
        });
    }

    /// Applies a new token that is valid. An invalid one changes nothing.
    pub(super) fn token_checked(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        outcome: Result<Claims, Refusal>,
    ) {
        // The check of a direct connection makes the count too low for a moment at most.
        self.linked.token_checks = self.linked.token_checks.saturating_sub(1);
        let Some(connection) = self.roster.get_mut(from) else {
            return;
        };
        connection.session.is_refreshing = false;
        let is_same_user = |claims: &Claims| claims.user == connection.subscription.user;
        let has_ended = |claims: &Claims| {
            let (user, issued) = (&claims.user, claims.issued);
            self.ended_tokens.include(user, issued, self.clock)
        };
        match outcome {
            Ok(claims) if is_same_user(&claims) && has_ended(&claims) => {
                let message = "the application has ended the user's earlier tokens";
                self.refuse(from, id.as_ref(), ErrorCode::TokenExpired, message);
            }
            Ok(claims) if is_same_user(&claims) => self.apply_new_token(from, id.as_ref(), claims),
            Ok(_) => {
                let message = "'sub' differs from the connection's user";
                self.refuse(from, id.as_ref(), ErrorCode::TokenInvalid, message);
            }
            Err(refusal) => {
                let (code, message) = error_of(&refusal);
                self.refuse(from, id.as_ref(), code, message);
            }
        }
    }

    /// Replaces the connection's capabilities, profile, expiry and limits with the token's.
    fn apply_new_token(&mut self, id: ConnectionId, command: Option<&CommandId>, claims: Claims) {
        let Some(can) = claims.grants.for_room(&self.name) else {
            let message = "the token grants nothing in this room";
            self.refuse(id, command, ErrorCode::Forbidden, message);
            return self.close(id, CloseCode::TokenRevoked);
        };
        let expires = claims.expires;
        self.replace_token(id, can, claims);
        if let Some(Via::Link(link)) = self.roster.get(id).map(|one| one.session.via) {
            self.send_class(link, id, true);
        }
        self.reply_with(id, command, &Reply::Refreshed { expires });
    }

    /// Replaces what a connection's token determines.
    pub(super) fn replace_token(&mut self, id: ConnectionId, can: Capabilities, claims: Claims) {
        let (rules, clock) = (&self.rules, self.clock);
        let Some(refreshed) = self.roster.refresh(id, claims, can, rules, clock) else {
            return;
        };
        if refreshed.hides_state {
            self.presence_diff.hide(refreshed.user, id);
        }
        self.attach(id);
    }
}

/// Returns the code and text of the error for a rejected token.
pub(crate) fn error_of(refusal: &Refusal) -> (ErrorCode, &str) {
    match refusal {
        Refusal::TokenExpired => (ErrorCode::TokenExpired, "the token has expired"),
        Refusal::TokenNotYetValid => (ErrorCode::TokenInvalid, "the token is not valid yet"),
        Refusal::TokenInvalid(why) => (ErrorCode::TokenInvalid, why),
        Refusal::ClaimInvalid(why) => (ErrorCode::TokenInvalid, why),
        _ => (ErrorCode::Internal, "the token could not be checked"),
    }
}
