//! Members behind links: their sessions are held by gateways.
//!
//! A linked member is a member like any other. Only three things differ: its commands arrive in calls, its
//! lines leave in calls, and what has to outlast the room's memory is in a row and not in an attachment.

use std::collections::{BTreeSet, VecDeque};

use super::{Frame, Room, join::JoinCommand, timers::Wake};
use crate::{
    Admission,
    fan_out::Audience,
    ids::{ConnectionId, GatewayName, LinkId, Timestamp},
    limits::LINK_QUEUE_BYTES_MAX,
    link::{
        Via,
        call::{Answer, Call, CallNumber, Content},
        event::{ToGateway, ToRoom},
        links::{CallId, Links, Received, Settled, StoredLink},
        note::BusyNote,
    },
    protocol::{
        command::CommandId,
        error::{CloseCode, ErrorCode},
        push::Push,
        refusal::Refusal,
        wire::Wire,
    },
    reply::Reply,
    room::{connection::Connection, io::Output},
    storage::store::{RoomSnapshot, Store, StoredMember},
};

/// The room's links, and the state of calls over them.
#[derive(Debug)]
pub(super) struct Linked {
    links: Links<GatewayName, ToGateway>,
    /// Events of the current call that have not been processed yet.
    inbox: VecDeque<(LinkId, ToRoom)>,
    /// Members whose rows have to be written at the end of the turn.
    changed: BTreeSet<ConnectionId>,
    /// Links for which too much waits.
    overflown: Vec<LinkId>,
    /// New tokens of members that are being checked.
    pub(super) token_checks: usize,
    /// The note in storage that something is under way to gateways.
    note: BusyNote,
}

const NOT_JOINED: &str = "join the room first";

impl Linked {
    /// Creates the links of a room that has just woken.
    pub(super) fn restore(stored: &mut RoomSnapshot, now: Timestamp) -> Self {
        Self {
            links: Links::restore(std::mem::take(&mut stored.links), now),
            inbox: VecDeque::new(),
            changed: BTreeSet::new(),
            overflown: Vec::new(),
            token_checks: 0,
            note: BusyNote::new(stored.is_amid_calls),
        }
    }

    /// Returns true if the room has no links.
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Returns the bytes of the next event that is processed.
    pub(super) fn next_len(&self) -> Option<usize> {
        match self.inbox.front() {
            Some((_, ToRoom::Command { text, .. })) => Some(text.0.len()),
            _ => None,
        }
    }

    /// Adds an event for a gateway.
    pub(super) fn send(&mut self, link: LinkId, event: ToGateway) {
        if self.links.send(link, event).is_err() {
            self.overflown.push(link);
        }
    }

    /// Records that the member's row has to be written at the end of the turn.
    pub(super) fn record_change(&mut self, member: ConnectionId) {
        self.changed.insert(member);
    }

    /// Returns true if so much waits for the gateway that the replay to one more session might not fit.
    pub(super) fn is_crowded(&self, link: LinkId) -> bool {
        self.links.bytes_of(link) > LINK_QUEUE_BYTES_MAX / 2
    }

    /// Returns the bytes that wait for gateways.
    pub(super) fn unread_bytes(&self) -> u64 {
        u64::try_from(self.links.bytes()).unwrap_or(u64::MAX)
    }

    /// Returns the time of the next call about a link that has ended, and its reason.
    pub(super) fn next_due(&self) -> Option<(Timestamp, Wake)> {
        self.links.next_due().map(|at| (at, Wake::LinkEnd))
    }

    /// Returns the time at which the room no longer counts as amid calls, if nothing happens before.
    pub(super) fn quiet_from(&self) -> Option<Timestamp> {
        self.note.quiet_from()
    }
}

impl<S: Store> Room<S> {
    // Waking up.

    /// Restores the members behind links.
    ///
    /// A room that was amid calls when it was lost cannot know which of them arrived, so it ends its links.
    pub(super) fn restore_linked(&mut self, members: Vec<StoredMember>) {
        for StoredMember {
            id, link, record, ..
        } in members
        {
            match Connection::restore(&record, Via::Link(link)) {
                Some(connection) => {
                    self.add(connection, None);
                }
                // Its client would wait in vain, so its gateway has to know.
                None => {
                    self.store.delete_member(id);
                    self.end_link(link);
                }
            }
        }
        let was_amid_calls = self.linked.note.is_stored();
        let open: BTreeSet<_> = (self.linked.links.opened()).map(|(link, _)| link).collect();
        for link in self
            .roster
            .links()
            .chain(open.iter().copied())
            .collect::<BTreeSet<_>>()
        {
            if was_amid_calls || !open.contains(&link) {
                self.end_link(link);
            }
        }
    }

    // Calls from gateways.

    /// Accepts a call of a gateway. Its events are processed one by one as outputs are polled.
    pub(super) fn receive_call(&mut self, call: Call<GatewayName, ToRoom>) {
        let link = call.link;
        if !self.linked.links.is_known(link) && starts_a_link(&call) {
            let stored = StoredLink {
                id: link,
                peer: call.from.clone(),
                is_ending: false,
            };
            if self.store.store_link(&stored).is_ok() {
                self.linked.links.open(link, stored.peer);
            }
        }
        let answer = match self.linked.links.receive(call) {
            Received::Events(events) => {
                let events = events.into_iter().map(|event| (link, event));
                self.linked.inbox.extend(events);
                Answer::Accepted
            }
            Received::Unknown => Answer::Unknown,
            Received::OutOfOrder => {
                self.end_link(link);
                Answer::Unknown
            }
            Received::Ended => {
                self.forget_link(link);
                Answer::Accepted
            }
        };
        self.outputs.push_back(Output::AnswerCall(answer));
    }

    /// Takes the result of a call to a gateway; `None` if it failed.
    pub(super) fn call_settled(&mut self, call: CallId, answer: Option<Answer>) {
        match self.linked.links.settle(call, answer, self.now) {
            Settled::Nothing => {}
            Settled::Forgotten | Settled::Refused => self.forget_link(call.link),
            Settled::Lost => self.end_link(call.link),
        }
    }

    /// Processes the next event of a gateway; returns false if there is none.
    pub(super) fn handle_next_event(&mut self) -> bool {
        let Some((link, event)) = self.linked.inbox.pop_front() else {
            return false;
        };
        let member = event.member();
        if matches!(event, ToRoom::Join { .. }) {
            self.drop_from_earlier_link(member, link);
        }
        // A gateway speaks only for its own sessions.
        let via = self.roster.get(member).map(|one| one.session.via);
        let is_member = via == Some(Via::Link(link));
        match event {
            ToRoom::Join {
                member,
                id,
                admission,
                has_own_token,
                ..
            } if is_member || via.is_none() => {
                let join = JoinCommand { id, has_own_token };
                self.join_over(link, member, &join, *admission);
            }
            ToRoom::Command { member, text } if is_member => self.receive_command(member, text.0),
            ToRoom::Command { member, text } => {
                self.refuse_stranger(link, member, CommandId::find(&text.0).as_ref());
            }
            ToRoom::Refresh { member, admission } if is_member => {
                self.refresh_over(link, member, admission.map(|one| *one));
            }
            ToRoom::Leave { member, is_clean } if is_member => {
                self.drop_connection(member, is_clean);
            }
            ToRoom::Join { member, id, .. } => {
                self.send_refusal(link, member, id.as_ref(), &Refusal::Internal);
                self.linked.send(link, ToGateway::Left { member });
            }
            ToRoom::Refresh { .. } | ToRoom::Leave { .. } => {}
        }
        true
    }

    /// Drops a session from a link that its gateway has ended, if the room has not heard that yet.
    fn drop_from_earlier_link(&mut self, member: ConnectionId, link: LinkId) {
        let via = self.roster.get(member).map(|one| one.session.via);
        if let Some(Via::Link(earlier)) = via
            && earlier != link
            && self.linked.links.peer(earlier) == self.linked.links.peer(link)
        {
            self.drop_connection(member, false);
        }
    }

    fn join_over(
        &mut self,
        link: LinkId,
        member: ConnectionId,
        join: &JoinCommand,
        admission: Admission,
    ) {
        // The welcome does not pass through the outbox, and must not overtake what waits there.
        if self.outbox.names(member) {
            self.flush();
        }
        let rejoins = self.roster.get(member).is_some();
        // The place of a connection that joins again is its own.
        let admitted = match self.linked.is_crowded(link) {
            true => Err(Refusal::Overloaded),
            false => self.admit_again(&admission, rejoins),
        };
        if let Err(refusal) = admitted {
            self.send_refusal(link, member, join.id.as_ref(), &refusal);
            self.linked.send(link, ToGateway::Left { member });
            // A member that may not join again stays in the room as it was.
            return self.send_class(link, member, false);
        }
        let options = admission.options.clone();
        let mode = self.roster.get(member).map(|one| one.subscription.mode);
        if mode == Some(options.mode) {
            self.linked.send(link, ToGateway::Left { member });
            self.replace_subscription(member, admission);
        } else {
            if rejoins {
                self.linked.send(link, ToGateway::Left { member });
                self.depart(member, true);
            }
            self.arrive(member, Via::Link(link), admission);
        }
        self.send_class(link, member, false);
        self.start_with(member, &options, join);
        self.send_first_badge(member);
    }

    /// Gives a member that joins again what its new token and options say. Its state stays.
    fn replace_subscription(&mut self, member: ConnectionId, admission: Admission) {
        self.roster.set_options(member, &admission.options);
        let (can, claims) = admission.into_claims();
        self.replace_token(member, can, claims);
    }

    /// Processes a command of a member.
    fn receive_command(&mut self, from: ConnectionId, text: String) {
        let frame = Frame::new(from, text, Wire::Objects);
        if self.hook_queue.has_frames_of(from) {
            self.queue_frame(frame, false);
        } else {
            self.inbox = Some(frame);
        }
    }

    /// Applies the new token of a session, which may grant nothing here.
    fn refresh_over(&mut self, link: LinkId, member: ConnectionId, admission: Option<Admission>) {
        let Some(admission) = admission else {
            return self.close(member, CloseCode::TokenRevoked);
        };
        let issued = admission.issued;
        if (self.ended_tokens).include(&admission.user, issued, self.clock) {
            return self.close(member, CloseCode::TokenExpired);
        }
        let (can, claims) = admission.into_claims();
        self.replace_token(member, can, claims);
        self.send_class(link, member, false);
    }

    /// Removes a member at its own request.
    pub(super) fn leave_over(
        &mut self,
        member: ConnectionId,
        link: LinkId,
        id: Option<&CommandId>,
    ) {
        // A member gets what was sent before it left.
        if !self.outbox.is_empty() {
            self.flush();
        }
        self.reply_with(member, id, &Reply::Done);
        self.outbox.push_left(member, link);
        self.drop_connection(member, true);
    }

    // Lines to gateways.

    /// Reports to a member's gateway what the member receives from now on, and whether it has a new token of
    /// its own.
    pub(super) fn send_class(&mut self, link: LinkId, member: ConnectionId, has_own_token: bool) {
        if let Some(connection) = self.roster.get(member) {
            let event = ToGateway::Receives {
                member,
                messages: connection.subscription.receives_messages(),
                presence: connection.subscription.receives_presence(),
                has_own_token,
            };
            self.linked.send(link, event);
        }
    }

    fn refuse_stranger(&mut self, link: LinkId, member: ConnectionId, id: Option<&CommandId>) {
        // The error must not overtake a `left` that waits.
        if self.outbox.names(member) {
            self.flush();
        }
        let code = ErrorCode::NotJoined;
        self.send_error(link, member, id, code.name(), NOT_JOINED, None);
    }

    fn send_refusal(
        &mut self,
        link: LinkId,
        member: ConnectionId,
        id: Option<&CommandId>,
        refusal: &Refusal,
    ) {
        let (code, message) = (refusal.code(), refusal.detail());
        self.send_error(link, member, id, code, message, refusal.retry_after_ms());
    }

    fn send_error(
        &mut self,
        link: LinkId,
        member: ConnectionId,
        id: Option<&CommandId>,
        code: &str,
        message: &str,
        retry_after_ms: Option<u64>,
    ) {
        let error = Push::Error {
            id,
            code,
            message,
            retryable: retry_after_ms.is_some(),
            retry_after_ms,
            version: None,
        };
        let (to, text) = (Audience::one(member), error.to_line());
        self.linked.send(link, ToGateway::Line { to, text });
    }

    // The end of links.

    /// Ends a link from here: its members have lost their connections.
    fn end_link(&mut self, link: LinkId) {
        if let Some(stored) = self.linked.links.end(link, self.now) {
            // If it cannot be stored, the gateway learns of it only while the room is in memory, or when it
            // calls.
            let _unstored = self.store.store_link(&stored);
        }
        self.drop_members(link);
    }

    /// Forgets a link, which the other end has forgotten.
    fn forget_link(&mut self, link: LinkId) {
        if self.linked.links.forget(link) {
            self.store.delete_link(link);
        }
        self.drop_members(link);
    }

    fn drop_members(&mut self, link: LinkId) {
        self.linked.inbox.retain(|(of, _)| *of != link);
        for member in self.roster.members_of(link).collect::<Vec<_>>() {
            self.drop_connection(member, false);
        }
    }

    // The steps of a turn.

    /// Makes the next call to a gateway; returns false if there is none.
    pub(super) fn call_next_gateway(&mut self) -> bool {
        if let Some(link) = self.linked.overflown.pop() {
            self.end_link(link);
            return true;
        }
        let Some(call) = self.linked.links.next_call(self.now) else {
            return false;
        };
        self.outputs.push_back(Output::CallGateway(call));
        true
    }

    /// Writes what has changed of members to their rows.
    pub(super) fn keep_members(&mut self) {
        for id in std::mem::take(&mut self.linked.changed) {
            let Some(connection) = self.roster.get(id) else {
                continue;
            };
            let Via::Link(link) = connection.session.via else {
                continue;
            };
            let member = StoredMember {
                id,
                link,
                record: connection.attachment(),
            };
            if self.store.store_member(&member).is_err() {
                self.end_link(link);
            }
        }
    }

    /// Notes in storage that something is under way to gateways, and when nothing is any more. Lines that
    /// wait for a flush would be lost with the room, and count.
    pub(super) fn note_calls(&mut self) {
        let has_links = self.linked.links.opened().next().is_some();
        let is_busy = has_links
            && (self.linked.links.are_busy()
                || !self.outbox.is_empty()
                || !self.presence_diff.is_empty()
                || !self.hook_queue.is_empty()
                || self.reading.sends_at().is_some()
                || self.linked.token_checks > 0);
        if let Some(is_amid_calls) = self.linked.note.update(is_busy, self.now) {
            self.store.note_calls(is_amid_calls);
        }
    }
}

/// Returns true if a call can be the first one of a link.
fn starts_a_link(call: &Call<GatewayName, ToRoom>) -> bool {
    let Content::Batch(batch) = &call.content else {
        return false;
    };
    let CallNumber { seq, .. } = batch.number;
    seq == 1 && matches!(batch.events.first(), Some(ToRoom::Join { .. }))
}
