//! The end of sessions, by their clients or by the gateway.

use std::collections::BTreeMap;

use super::{Gateway, io::Output, session::GatewaySession, store::Store};
use crate::{
    ids::{ConnectionId, Reference, UserId},
    limits::USER_RATES_MIN,
    log::{LogEvent, LogLine},
    protocol::{error::CloseCode, push::Push},
    rate::SharedBucket,
    room::{
        closing_socket::ClosingSocket,
        slow_consumers::{Owner, too_slow},
    },
};

impl<S: Store> Gateway<S> {
    /// Closes a session's connection, and logs the close.
    pub(super) fn close(&mut self, id: ConnectionId, code: CloseCode) {
        if let Some(session) = self.sessions.get(&id) {
            let user = session.user.clone();
            self.send_closing(id, Some(user), code);
            self.end_session(id, code.is_final());
        }
    }

    /// Closes a socket because its attachment cannot be read.
    pub(super) fn close_unreadable(&mut self, id: ConnectionId) {
        self.send_closing(id, None, CloseCode::StateLost);
    }

    fn send_closing(&mut self, id: ConnectionId, user: Option<UserId>, code: CloseCode) {
        let reference = Reference::of((id, self.now));
        let origin = self
            .sessions
            .get(&id)
            .and_then(|session| session.socket.origin.clone());
        let line = LogLine {
            user: user.clone(),
            origin,
            connection: Some(id),
            reference: Some(reference),
            ..LogLine::new(LogEvent::Close, None)
        };
        self.outputs.push_back(Output::Log(line.with_code(code)));
        let closing = Push::Closing {
            code: code.number(),
            reason: code.reason(),
            reconnect: code.should_reconnect(),
            reference,
        };
        self.send(id, &closing);
        let socket = ClosingSocket::new(user);
        self.outputs.push_back(Output::Close {
            connection: id,
            code,
            attachment: socket.attachment(),
        });
        self.closing.insert(id, socket);
    }

    /// Removes a session. Its member leaves the rooms: at once if `is_clean`, else after the grace period.
    pub(super) fn end_session(&mut self, id: ConnectionId, is_clean: bool) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        let token_end = session.socket.token_deadline(&self.rules.room);
        self.token_ends.remove(&(token_end, id));
        if let Some(own) = self.users.get_mut(&session.user) {
            own.remove(&id);
            if own.is_empty() {
                self.users.remove(&session.user);
                self.remember_rates(&session);
            }
        }
        if self.sessions.is_empty() {
            self.sweep_at = None;
        }
        self.leave_all(&session, is_clean);
    }

    /// Keeps the rates of a user who has left, until they are full again.
    fn remember_rates(&mut self, session: &GatewaySession) {
        let now = self.now;
        let is_full = |(commands, joins): &(SharedBucket, SharedBucket)| {
            commands.is_full(now) && joins.is_full(now)
        };
        let rates = (session.commands.clone(), session.joins.clone());
        if is_full(&rates) {
            return;
        }
        if self.departed.len() >= USER_RATES_MIN {
            self.departed.retain(|_, rates| !is_full(rates));
        }
        // With too many, all of them start anew.
        if self.departed.len() >= USER_RATES_MIN {
            self.departed.clear();
        }
        self.departed.insert(session.user.clone(), rates);
    }

    /// Closes sessions that are too slow for themselves, for their user or for the gateway.
    pub(super) fn close_slow(&mut self, queued: BTreeMap<ConnectionId, u64>) {
        let owner = |id| match (self.sessions.get(&id), self.closing.get(&id)) {
            (Some(session), _) => Some(Owner::open(session.user.clone())),
            (None, Some(closing)) => closing.closing.clone().map(Owner::closing),
            (None, None) => None,
        };
        for id in too_slow(queued, owner) {
            self.close(id, CloseCode::TooSlow);
        }
    }
}
