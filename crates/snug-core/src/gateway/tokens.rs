//! The tokens that sessions send: a new one with `refresh`, and one of its own for a `join`.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    CLAIMS_TOO_LONG, Gateway,
    fault::Fault,
    io::{Output, TokenCheck},
    session::admission,
    store::Store,
};
use crate::{
    auth::{JoinOptions, token::Claims},
    ids::ConnectionId,
    link::event::ToRoom,
    protocol::{
        command::CommandId,
        error::ErrorCode,
        push::{Outcome, Push},
        refusal::Refusal,
    },
    room::refresh::error_of,
    secret::Secret,
};

/// The fields of `refresh`.
#[derive(Deserialize)]
struct RefreshFields<'a> {
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
}

impl<S: Store> Gateway<S> {
    /// Sends a new token to be checked.
    pub(super) fn refresh(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        line: &str,
    ) -> Result<(), Fault> {
        let fields = serde_json::from_str(line).ok();
        let token = fields.and_then(|fields: RefreshFields<'_>| fields.token);
        let token = token.ok_or(Fault::new(ErrorCode::BadCommand, "'refresh' needs 'token'"))?;
        let Some(session) = self.sessions.get_mut(&from) else {
            return Ok(());
        };
        if std::mem::replace(&mut session.socket.is_refreshing, true) {
            let message = "the previous 'refresh' is still pending";
            return Err(Fault::later(ErrorCode::RateLimited.name(), message, 1_000));
        }
        self.outputs.push_back(Output::CheckToken {
            connection: from,
            check: TokenCheck::Refresh { id },
            token: Secret(token.into_owned()),
        });
        Ok(())
    }

    /// Takes the result of a token check.
    pub(super) fn token_checked(
        &mut self,
        from: ConnectionId,
        check: TokenCheck,
        outcome: Result<Claims, Refusal>,
    ) {
        if matches!(check, TokenCheck::Join(_)) {
            self.join_checks = self.join_checks.saturating_sub(1);
        }
        let Some(session) = self.sessions.get_mut(&from) else {
            return;
        };
        let is_same_user = |claims: &Claims| claims.user == session.user;
        let claims = match outcome {
            Ok(claims) if is_same_user(&claims) => Ok(claims),
            Ok(_) => Err(Fault::new(
                ErrorCode::TokenInvalid,
                "'sub' differs from the connection's user",
            )),
            Err(refusal) => Err(match check {
                TokenCheck::Refresh { .. } => {
                    let (code, message) = error_of(&refusal);
                    Fault {
                        message: message.to_owned().into(),
                        ..Fault::new(code, "")
                    }
                }
                TokenCheck::Join(_) => Fault::from(&refusal),
            }),
        };
        match check {
            TokenCheck::Refresh { id } => {
                session.socket.is_refreshing = false;
                match claims {
                    Ok(claims) => self.apply_new_token(from, id.as_ref(), claims),
                    Err(fault) => self.reject(from, id.as_ref(), None, &fault),
                }
            }
            TokenCheck::Join(join) => {
                session.join_checks = session.join_checks.saturating_sub(1);
                let (id, room) = (join.id.clone(), join.room.clone());
                let origin = session.socket.origin.clone();
                let joined = claims.and_then(|claims| {
                    let can = claims.grants.for_room(&join.room);
                    let can = can.ok_or_else(|| Fault::from(&Refusal::RoomForbidden))?;
                    let admission = admission(claims, can, join.options.clone(), origin);
                    self.subscribe(from, join, admission, true)
                });
                if let Err(fault) = joined {
                    self.reject(from, id.as_ref(), Some(&room), &fault);
                }
            }
        }
    }

    /// Replaces the session's token, and what it grants in the rooms that have no token of their own.
    fn apply_new_token(&mut self, id: ConnectionId, command: Option<&CommandId>, claims: Claims) {
        let (rules, clock) = (self.rules.clone(), self.clock);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = session.socket.token_deadline(&rules.room);
        let expires = claims.expires;
        let mut refreshed = session.clone();
        refreshed.refresh(claims, &rules.room, clock);
        if !refreshed.fits() {
            let fault = Fault::new(ErrorCode::TooLarge, CLAIMS_TOO_LONG);
            return self.reject(id, command, None, &fault);
        }
        *session = refreshed;
        self.token_ends.remove(&(before, id));
        let after = session.socket.token_deadline(&rules.room);
        self.token_ends.insert((after, id));
        let rooms = session.rooms.iter().filter(|(_, one)| !one.has_own_token);
        let refreshed: Vec<_> = rooms
            .map(|(room, _)| {
                let admission = session.admission(room, JoinOptions::default());
                let refresh = ToRoom::Refresh {
                    member: id,
                    admission: admission.map(Box::new),
                };
                (room.clone(), refresh)
            })
            .collect();
        for (room, event) in refreshed {
            self.send_over(&room, event);
        }
        self.attach(id);
        if let Some(command) = command {
            let outcome = Some(Outcome::Refreshed { expires });
            self.send(
                id,
                &Push::Ack {
                    id: command,
                    outcome,
                },
            );
        }
    }
}
