//! Reading stored messages: pages of history, and replay for new connections.

use super::{ReplyTo, Room, join::JoinCommand};
use crate::{
    auth::JoinOptions,
    backend::api::ApiRequestId,
    ids::{ConnectionId, Offset},
    limits::{
        LAST_MESSAGES_MAX, PAGE_BYTES_MAX, REPLAY_BYTES_PER_JOIN, REPLAY_FRAME_BYTES, REPLAY_RATE,
        REPLAY_UNIT_BYTES,
    },
    link::Via,
    protocol::{
        page::{PageRequest, PageStart},
        refusal::Refusal,
        wire::Wire,
    },
    reply::{Failure, HistoryPage, Reply},
    storage::{
        batch::Page,
        entry::StoredEntry,
        store::{StorageFault, Store},
    },
};

impl<S: Store> Room<S> {
    /// Sends a new connection its `welcome`, and the messages to replay.
    pub(super) fn start_with(
        &mut self,
        to: ConnectionId,
        options: &JoinOptions,
        join: &JoinCommand,
    ) {
        let connection = self.roster.get(to);
        let may_read = connection.is_some_and(|one| one.subscription.can.may_read());
        let is_recovery = options.resume.is_some();
        let request = match (&options.resume, options.last) {
            (Some(position), _) => self.messages.missed_after(position).filter(|_| may_read),
            (None, Some(last)) if last > 0 && may_read => Some(newest(last)),
            _ => None,
        };
        match request {
            // The client is up to date: nothing needs to be read.
            Some(request) if is_recovery && self.messages.are_all_before(request.from) => {
                self.welcome(to, Some(true), join);
            }
            Some(_) if self.has_too_much_unread() || self.is_crowded(to) => {
                self.welcome(to, is_recovery.then_some(false), join);
            }
            Some(request) => {
                let page = self.read_page(request);
                let recovers_from = is_recovery.then_some(request.from);
                self.replay(to, recovers_from, page, join);
            }
            None => self.welcome(to, is_recovery.then_some(false), join),
        }
    }

    /// Returns true if so much waits for the connection's gateway that a replay might not fit.
    pub(super) fn is_crowded(&self, to: ConnectionId) -> bool {
        let via = self.roster.get(to).map(|one| one.session.via);
        matches!(via, Some(Via::Link(link)) if self.linked.is_crowded(link))
    }

    fn read_page(&mut self, request: PageRequest) -> Result<Page, StorageFault> {
        self.messages.read_page(&mut self.store, request, self.now)
    }

    /// Sends a page of history.
    pub(super) fn send_page(&mut self, reply_to: &ReplyTo, request: PageRequest) {
        self.store_draft();
        let result = match self.read_page(request) {
            Ok(page) => {
                let (messages, more) = page.finish();
                let epoch = Some(self.messages.epoch().clone());
                Ok(Reply::History(HistoryPage {
                    epoch,
                    messages,
                    more,
                    cursor: None,
                }))
            }
            Err(StorageFault) => Err(Failure::Internal("the history could not be read")),
        };
        self.answer(reply_to, result);
    }

    /// Responds with the room's status.
    pub(super) fn describe(&mut self, id: ApiRequestId) {
        self.store_draft();
        let count = self.messages.count(&mut self.store, self.now);
        let status = count.map(|messages| Reply::Status(self.status(messages)));
        self.respond(id, status.map_err(|StorageFault| Refusal::Internal));
    }

    /// Sends the `welcome`, then the messages. A recovery replays all missed messages or none.
    fn replay(
        &mut self,
        to: ConnectionId,
        recovers_from: Option<PageStart>,
        page: Result<Page, StorageFault>,
        join: &JoinCommand,
    ) {
        let (messages, more) = page.map(Page::finish).unwrap_or_default();
        let recovered =
            recovers_from.map(|from| !more && self.messages.are_all_after(from, messages.len()));
        self.charge_replay(
            to,
            messages.iter().map(|message| message.push().len()).sum(),
        );
        self.welcome(to, recovered, join);
        if recovered == Some(false) {
            return;
        }
        let Some(connection) = self.roster.get(to) else {
            return;
        };
        let form = match connection.session.via {
            Via::Socket => connection.session.wire,
            // Its gateway adds the room to each message.
            Via::Link(_) => Wire::Objects,
        };
        for frame in frames(&messages, form) {
            self.send_at_once(to, frame.into());
        }
    }

    /// Counts the messages that were read for a join, for its user and for the room.
    fn charge_replay(&mut self, to: ConnectionId, bytes: usize) {
        let units = u64::try_from(bytes / REPLAY_UNIT_BYTES).unwrap_or(u64::MAX);
        self.replays.charge(REPLAY_RATE, units, self.now);
        let joins = u64::try_from(bytes / REPLAY_BYTES_PER_JOIN).unwrap_or(u64::MAX);
        if let Some(connection) = self.roster.get(to) {
            let (rate, now) = (self.rules.join_rate(), self.now);
            self.rates
                .charge_joins(&connection.subscription.user, joins, rate, now);
        }
    }
}

/// Returns the page of the newest messages.
fn newest(last: u64) -> PageRequest {
    PageRequest {
        from: PageStart::Before(Offset::END),
        limit: u32::try_from(last).map_or(LAST_MESSAGES_MAX, |last| last.min(LAST_MESSAGES_MAX)),
        bytes_max: PAGE_BYTES_MAX,
    }
}

/// Puts messages into frames: one message per frame, or several as lines.
fn frames(messages: &[StoredEntry], wire: Wire) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for message in messages {
        match frames.last_mut() {
            Some(frame) if wire == Wire::Lines && frame.len() < REPLAY_FRAME_BYTES => {
                frame.push('\n');
                frame.push_str(message.push());
            }
            _ => frames.push(message.push().to_string()),
        }
    }
    frames
}
