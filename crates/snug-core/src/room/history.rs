//! Reading stored messages: pages of history, replay for new connections, and trimming.

use super::{ReplyTo, Room};
use crate::{
    Capability,
    auth::{JoinOptions, Position},
    backend::api::ApiRequestId,
    ids::{ConnectionId, Offset},
    limits::{
        LAST_MESSAGES_MAX, PAGE_BYTES_MAX, RECOVERY_BYTES_MAX, RECOVERY_MESSAGES_MAX,
        REPLAY_BYTES_PER_JOIN, REPLAY_FRAME_BYTES, REPLAY_RATE, REPLAY_UNIT_BYTES,
    },
    protocol::{
        command::{PageRequest, PageStart},
        refusal::Refusal,
        wire::Wire,
    },
    reply::{Failure, HistoryPage, Reply},
    room::io::Output,
    storage::{
        batch::Page,
        idempotency::KeyFloor,
        message::StoredMessage,
        retention::{Floor, OldestMessages, TRIM_PAUSE_MS, TRIM_RETRY_MS},
        store::{StorageFault, Store},
    },
};

impl<S: Store> Room<S> {
    /// Sends a new connection its `welcome`, and the messages to replay.
    pub(super) fn start_with(&mut self, to: ConnectionId, options: &JoinOptions) {
        let may_read = self.connections.get(&to).is_some_and(|connection| {
            connection.receives_messages() && connection.can.has(Capability::History)
        });
        let is_recovery = options.resume.is_some();
        let request = match (&options.resume, options.last) {
            (Some(position), _) => self.missed_after(position).filter(|_| may_read),
            (None, Some(last)) if last > 0 && may_read => Some(newest(last)),
            _ => None,
        };
        match request {
            // The client is up to date: nothing needs to be read.
            Some(request) if is_recovery && request.from == PageStart::After(self.newest) => {
                self.welcome(to, Some(true));
            }
            Some(_) if self.has_too_much_unread() => {
                self.welcome(to, is_recovery.then_some(false));
            }
            Some(request) => {
                let page = self.read_page(request);
                self.replay(to, request.from, is_recovery, page);
            }
            None => self.welcome(to, is_recovery.then_some(false)),
        }
    }

    /// Returns the page that brings a client at this position up to date; `None` if the position
    /// is of another epoch, beyond the newest message, or too far back.
    fn missed_after(&self, position: &Position) -> Option<PageRequest> {
        let missed = self.newest.0.checked_sub(position.offset.0)?;
        let is_same_epoch = position.epoch == self.epoch.as_str();
        (is_same_epoch && missed <= RECOVERY_MESSAGES_MAX.into()).then_some(PageRequest {
            from: PageStart::After(position.offset),
            limit: RECOVERY_MESSAGES_MAX,
            bytes_max: RECOVERY_BYTES_MAX,
        })
    }

    fn read_page(&mut self, request: PageRequest) -> Result<Page, StorageFault> {
        let mut page = Page::new(request, self.floor());
        self.store.fill_page(&mut page)?;
        Ok(page)
    }

    /// Returns the lower bound of retained messages.
    pub(super) fn floor(&self) -> Floor {
        self.rules
            .retention
            .floor(self.newest, self.bytes, self.now)
    }

    /// Deletes some of the messages below the floor.
    pub(super) fn trim(&mut self) {
        let oldest = self.oldest.map(|oldest| oldest.offset);
        let oldest = oldest.unwrap_or(self.newest.next());
        let keys = KeyFloor::new(self.newest, self.now);
        let pause_ms = match self.store.trim(self.floor(), oldest, keys) {
            Ok(oldest) => {
                self.set_oldest(oldest);
                TRIM_PAUSE_MS
            }
            Err(StorageFault) => TRIM_RETRY_MS,
        };
        let next = self.now.plus_ms(pause_ms);
        self.trim_at = self.trim_at.map(|at| at.max(next));
    }

    /// Records the oldest stored messages, and schedules the next trim by their time.
    pub(super) fn set_oldest(&mut self, oldest: Option<OldestMessages>) {
        self.oldest = oldest;
        self.trim_at = oldest.map(|oldest| self.rules.retention.trim_at(oldest.time));
    }

    /// Sends a page of history.
    pub(super) fn send_page(&mut self, reply_to: &ReplyTo, request: PageRequest) {
        self.store_draft();
        let result = match self.read_page(request) {
            Ok(page) => {
                let (messages, more) = page.finish();
                let epoch = Some(self.epoch.clone());
                Ok(Reply::History(HistoryPage {
                    epoch,
                    messages,
                    more,
                }))
            }
            Err(StorageFault) => Err(Failure::Internal("the history could not be read")),
        };
        self.answer(reply_to, result);
    }

    /// Responds with the room's status.
    pub(super) fn describe(&mut self, id: ApiRequestId) {
        self.store_draft();
        let status = self.read_page(oldest()).map(|page| {
            let oldest = page.first().unwrap_or(self.newest.next());
            let messages = self.newest.next().0.saturating_sub(oldest.0);
            Reply::Status(self.status(messages, self.store.bytes()))
        });
        self.respond(id, status.map_err(|StorageFault| Refusal::Internal));
    }

    /// Sends the `welcome`, then the messages. A recovery replays all missed messages or none.
    fn replay(
        &mut self,
        to: ConnectionId,
        from: PageStart,
        is_recovery: bool,
        page: Result<Page, StorageFault>,
    ) {
        let (messages, more) = page.map(Page::finish).unwrap_or_default();
        let is_complete = !more && self.is_all_after(from, messages.len());
        self.charge_replay(
            to,
            messages.iter().map(|message| message.push().len()).sum(),
        );
        self.welcome(to, is_recovery.then_some(is_complete));
        if is_recovery && !is_complete {
            return;
        }
        let Some(connection) = self.connections.get(&to) else {
            return;
        };
        for frame in frames(&messages, connection.wire()) {
            let (to, text) = (vec![to], frame.into());
            self.outputs.push_back(Output::Send { to, text });
        }
    }

    /// Counts the messages that were read for a join, for its user and for the room.
    fn charge_replay(&mut self, to: ConnectionId, bytes: usize) {
        let units = u64::try_from(bytes / REPLAY_UNIT_BYTES).unwrap_or(u64::MAX);
        self.replays.charge(REPLAY_RATE, units, self.now);
        let joins = u64::try_from(bytes / REPLAY_BYTES_PER_JOIN).unwrap_or(u64::MAX);
        if let Some(connection) = self.connections.get(&to) {
            let (rate, now) = (self.rules.join_rate(), self.now);
            self.rates.charge_joins(&connection.user, joins, rate, now);
        }
    }

    fn is_all_after(&self, from: PageStart, count: usize) -> bool {
        match from {
            PageStart::After(offset) => {
                self.newest.0.checked_sub(offset.0) == u64::try_from(count).ok()
            }
            PageStart::Before(_) => false,
        }
    }
}

/// Returns the page of the oldest message.
fn oldest() -> PageRequest {
    PageRequest {
        from: PageStart::After(Offset::default()),
        limit: 1,
        bytes_max: PAGE_BYTES_MAX,
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
fn frames(messages: &[StoredMessage], wire: Wire) -> Vec<String> {
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
