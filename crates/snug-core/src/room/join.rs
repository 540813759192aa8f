//! A user's way into the room: who is admitted, how a connection is added, and its welcome.

use super::Room;
use crate::{
    auth::{Admission, SUBPROTOCOL},
    ids::{ConnectionId, Timestamp},
    limits::{QUEUE_BYTES_MAX, REPLAY_RATE},
    link::Via,
    protocol::{
        command::CommandId,
        push::{Push, Welcome, WelcomeToConnection},
        refusal::Refusal,
    },
    room::{connection::Connection, io::Output, presence::Arrival},
    storage::store::Store,
};

/// The `join` command of a session, which its welcome answers. A socket's own room has none.
#[derive(Debug, Default)]
pub(super) struct JoinCommand {
    pub(super) id: Option<CommandId>,
    /// True if the command had a token of its own.
    pub(super) has_own_token: bool,
}

impl<S: Store> Room<S> {
    /// Checks that the user is not banned, that the token has not been ended, that the user does not
    /// join too often, and that the room has capacity for one more connection.
    ///
    /// `unread_bytes` is the total number of bytes queued for the user's sockets ([`Self::sockets_of`]).
    ///
    /// # Errors
    ///
    /// `banned`, `token_expired`, `rate_limited`, `overloaded`, `too_many_connections`, `room_full`.
    pub fn admit(
        &mut self,
        admission: &Admission,
        unread_bytes: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_admission(admission, unread_bytes, false, now)
    }

    /// Like [`Self::admit`], for a member behind a link, whose gateway looks after what its clients have not
    /// read. A connection that is in the room already does not need another place.
    pub(super) fn admit_again(
        &mut self,
        admission: &Admission,
        is_member: bool,
    ) -> Result<(), Refusal> {
        self.check_admission(admission, 0, is_member, self.clock)
    }

    pub(super) fn check_admission(
        &mut self,
        admission: &Admission,
        unread_bytes: u64,
        is_member: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let user = &admission.user;
        self.bans.admit(user, now)?;
        self.ended_tokens.admit(user, admission.issued, now)?;
        // The clock may have been set back. A bucket would then seem to be empty until it has caught up.
        let monotonic = self.now.max(now);
        let joined = self
            .rates
            .take_join(user, self.rules.join_rate(), monotonic);
        joined.map_err(Refusal::rate_limited)?;
        let options = &admission.options;
        let wants_replay = options.resume.is_some() || options.last.is_some();
        if wants_replay && !self.replays.has_some(REPLAY_RATE, monotonic) {
            return Err(Refusal::Overloaded);
        }
        if is_member {
            return Ok(());
        }
        if self.sockets_of(user).count() >= self.rules.connections_per_user_max {
            return Err(Refusal::TooManyConnections);
        }
        if unread_bytes > QUEUE_BYTES_MAX {
            return Err(Refusal::RateLimited { seconds: 1 });
        }
        // A client that does not answer its close keeps its socket, but not its place.
        if self.roster.connections().len() >= self.rules.connections_max
            || self.roster.socket_count() >= self.rules.sockets_max
        {
            return Err(Refusal::RoomFull);
        }
        Ok(())
    }

    pub(super) fn connect(&mut self, id: ConnectionId, admission: Admission) {
        let options = admission.options.clone();
        self.arrive(id, Via::Socket, admission);
        self.start_with(id, &options, &JoinCommand::default());
    }

    /// Adds a connection, and announces its member if that is new.
    pub(super) fn arrive(&mut self, id: ConnectionId, via: Via, admission: Admission) {
        self.is_erased = false;
        self.flush_pending_leave(&admission.user);
        let since = self.roster.presence().since(&admission.user);
        let since = since.unwrap_or(self.now);
        let connection = Connection::new(id, via, admission, since, &self.rules, self.now);
        let user = connection.subscription.user.clone();
        match via {
            Via::Socket => self.outputs.push_back(Output::Attach {
                connection: id,
                attachment: connection.attachment(),
            }),
            Via::Link(_) => self.linked.record_change(id),
        }
        match self.add(connection, None) {
            Arrival::Joined => {
                let info = self
                    .roster
                    .get(id)
                    .and_then(|one| one.subscription.info.clone());
                self.record_join(&user, info.as_deref());
                self.presence_diff.join(user, id);
                // Presence pushes that wait are older than the new connection's welcome.
                if self.outbox.has_presence() {
                    self.presence_diff.include_originator();
                }
            }
            Arrival::Returned => self.store.delete_absence(&user),
            Arrival::Another | Arrival::Unlisted => {}
        }
    }

    pub(super) fn welcome(
        &mut self,
        id: ConnectionId,
        recovered: Option<bool>,
        join: &JoinCommand,
    ) {
        let read = self.read_state(id);
        let Some(connection) = self.roster.get(id) else {
            return;
        };
        let sees_members = connection.subscription.can.has(crate::Capability::Presence);
        let count = self.roster.presence().count();
        // With many rooms, only those that want presence get the list.
        let is_socket = connection.session.via == Via::Socket;
        let listed = (sees_members && (is_socket || connection.subscription.presence))
            .then(|| self.roster.list());
        let listed = match connection.subscription.can.has(crate::Capability::Receipts) {
            true => listed.map(|list| self.with_positions(list)),
            false => listed,
        };
        let Some(connection) = self.roster.get(id) else {
            return;
        };
        // The token of a session is that of `hello`.
        let has_own_token = is_socket || join.has_own_token;
        let welcome = Push::Welcome(Welcome {
            id: join.id.as_ref(),
            connection: is_socket.then_some(WelcomeToConnection {
                protocol: SUBPROTOCOL,
                room: &self.name,
                connection: id,
                user: &connection.subscription.user,
            }),
            can: connection.subscription.can,
            epoch: self.messages.epoch(),
            offset: self.messages.newest(),
            recovered,
            read,
            count,
            truncated: listed.as_ref().is_some_and(|list| list.truncated),
            members: listed.map(|list| list.members),
            expires: has_own_token.then_some(connection.session.expires),
            ping_ms: is_socket.then_some(self.rules.ping_ms),
            limits: has_own_token.then(|| connection.subscription.limits()),
        });
        let text = welcome.to_line();
        self.send_at_once(id, text);
    }
}
