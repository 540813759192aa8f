//! The end of a connection, by the client or by the room.

use super::Room;
use crate::{
    fan_out::Audience,
    ids::{ConnectionId, LinkId, Origin, Reference, UserId},
    link::Via,
    log::{LogEvent, LogLine},
    protocol::{error::CloseCode, push::Push, wire::Wire},
    room::{
        closing_socket::ClosingSocket,
        io::Output,
        presence::{Absence, Departure},
    },
    storage::store::Store,
};

impl<S: Store> Room<S> {
    /// Closes a connection, and logs the close.
    pub(super) fn close(&mut self, id: ConnectionId, code: CloseCode) {
        if let Some(connection) = self.roster.get(id) {
            let (user, origin) = (
                connection.subscription.user.clone(),
                connection.session.origin.clone(),
            );
            let reference = self.log_close(id, Some(user), origin, code);
            self.close_because(id, code, code.reason(), reference);
        }
    }

    /// Closes one of several connections with a given reason. The caller has logged the common cause.
    pub(super) fn close_because(
        &mut self,
        id: ConnectionId,
        code: CloseCode,
        reason: &str,
        reference: Reference,
    ) {
        if let Some(connection) = self.roster.get(id) {
            let (user, session) = (connection.subscription.user.clone(), &connection.session);
            match (session.via, session.wire) {
                (Via::Socket, wire) => {
                    self.push_closing(id, Some(user), wire, code, reason, reference);
                }
                (Via::Link(link), _) => self.end_subscription(id, link, code, reason, reference),
            }
            if !code.should_reconnect() {
                self.hook_queue.drop_messages_of(id);
            }
            self.drop_connection(id, code.is_final());
        }
    }

    /// Closes a socket because its attachment cannot be read, and logs the close.
    pub(super) fn close_unreadable(&mut self, id: ConnectionId) {
        let code = CloseCode::StateLost;
        let reference = self.log_close(id, None, None, code);
        self.push_closing(id, None, Wire::Objects, code, code.reason(), reference);
    }

    /// Logs that the room closes a connection, and returns the reference of the line.
    fn log_close(
        &mut self,
        id: ConnectionId,
        user: Option<UserId>,
        origin: Option<Origin>,
        code: CloseCode,
    ) -> Reference {
        let reference = Reference::of((id, self.now));
        let line = LogLine {
            user,
            origin,
            connection: Some(id),
            reference: Some(reference),
            ..LogLine::new(LogEvent::Close, Some(self.name.clone()))
        };
        self.outputs.push_back(Output::Log(line.with_code(code)));
        reference
    }

    /// Sends `left` to a session, whose connection to its gateway stays open.
    fn end_subscription(
        &mut self,
        id: ConnectionId,
        link: LinkId,
        code: CloseCode,
        reason: &str,
        reference: Reference,
    ) {
        let left = Push::Left {
            code: code.number(),
            reason,
            reconnect: code.should_reconnect(),
            delay_ms: None,
            reference: Some(reference),
        };
        self.outbox.push_line(Audience::one(id), left.to_line());
        self.outbox.push_left(id, link);
    }

    /// Sends `closing` to a socket, then closes it.
    fn push_closing(
        &mut self,
        id: ConnectionId,
        user: Option<UserId>,
        wire: Wire,
        code: CloseCode,
        reason: &str,
        reference: Reference,
    ) {
        let closing = Push::Closing {
            code: code.number(),
            reason,
            reconnect: code.should_reconnect(),
            reference,
        };
        self.outbox.push_line(Audience::one(id), closing.to_line());
        let closing = ClosingSocket::new(user);
        self.outbox.close(id, code, closing.attachment(), wire);
        self.roster.add_closing(id, closing);
    }

    /// Removes a connection. With the user's last connection, the user leaves: now if `at_once`,
    /// else after the grace period.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, at_once: bool) {
        let Some(via) = self.roster.get(id).map(|one| one.session.via) else {
            return;
        };
        self.hook_queue.drop_frames_of(id);
        if via != Via::Socket {
            self.store.delete_member(id);
        }
        self.depart(id, at_once);
    }

    /// Takes a connection out of the room, like [`Self::drop_connection`]. Its commands that wait are kept.
    pub(super) fn depart(&mut self, id: ConnectionId, at_once: bool) {
        let Some(user) = self.roster.get(id).map(|one| one.subscription.user.clone()) else {
            return;
        };
        let leaves = at_once || self.rules.presence_grace_ms == 0;
        if leaves && self.roster.presence().connections_of(&user).count() == 1 {
            self.flush_pending_join(&user);
        }
        let Some((connection, departure)) = self.roster.remove(id, &self.rules) else {
            return;
        };
        if departure == Departure::Unlisted && self.roster.connections_of(&user).next().is_none() {
            self.reading.forget(&user);
        }
        if departure == Departure::Last && leaves {
            self.roster.leave(&user);
            self.record_leave(&user);
            self.presence_diff.leave(user);
            return;
        }
        if connection.subscription.state.is_some() {
            self.presence_diff.hide(user.clone(), id);
        }
        if departure == Departure::Last {
            let absence = Absence {
                user,
                since: connection.subscription.since,
                info: connection.subscription.info,
                until: self.now.plus_ms(self.rules.presence_grace_ms),
            };
            self.store.store_absence(&absence);
            self.roster.start_grace(absence);
        }
    }
}
