//! Threads: replies to a message, which count for it, and the pages of them.

use super::{
    ReplyTo, Room,
    outbox::{PendingEntry, PendingReplies},
};
use crate::{
    ids::Offset,
    protocol::page::{PageStart, ThreadRequest},
    reply::{Failure, HistoryPage, Reply},
    storage::{
        batch::Wanted,
        changed::MessageChanges,
        store::{StorageFault, Store},
    },
};

const NOT_READABLE: &str = "the thread could not be read";

impl<S: Store> Room<S> {
    /// Returns the first message of the thread to which a reply belongs: the message that it is a reply to, or
    /// that message's own root.
    pub(super) fn find_root(&mut self, re: Offset) -> Result<Offset, Failure> {
        self.store_draft_with(re);
        let message = self.find_undeleted(re)?;
        let root = message.row.read().and_then(|fields| fields.re);
        match root {
            Some(root) => self.find_undeleted(root).map(|_| root),
            None => Ok(re),
        }
    }

    /// Counts a reply that has just been added to the draft.
    pub(super) fn count_reply(&mut self, root: Offset, reply: Offset) {
        self.change_replies(root, |replies| {
            replies.count.replies = replies.count.replies.saturating_add(1);
            replies.count.last_reply = reply;
            replies.added.push(reply);
        });
    }

    /// Counts a reply less, whose deletion has just been added to the draft.
    pub(super) fn uncount_reply(&mut self, root: Offset) {
        self.change_replies(root, |replies| {
            replies.count.replies = replies.count.replies.saturating_sub(1);
        });
    }

    /// Changes the number of replies of a message, with the next flush. If the message is not stored any more,
    /// nothing counts its replies.
    fn change_replies(&mut self, root: Offset, change: impl FnOnce(&mut PendingReplies)) {
        if let Some(replies) = self.outbox.replies_to(root) {
            return change(replies);
        }
        let Ok(Some(found)) = self.messages.find_stored(&mut self.store, root, self.now) else {
            return;
        };
        let stored = self.next_position(None);
        let count = found.changes.replies();
        let mut replies = PendingReplies {
            of: root,
            offset: stored.offset,
            time: stored.time,
            count: count.unwrap_or_default(),
            added: Vec::new(),
        };
        change(&mut replies);
        let entry = PendingEntry::Replies(replies);
        self.outbox.push_entry(stored, entry, None, None);
    }

    /// Sends a page of the replies to a message.
    pub(super) fn send_thread(&mut self, reply_to: &ReplyTo, request: ThreadRequest) {
        self.store_draft();
        let result = self.read_thread(request);
        let result = result.map_err(|StorageFault| Failure::Internal(NOT_READABLE));
        self.answer(reply_to, result.map(Reply::History));
    }

    fn read_thread(&mut self, request: ThreadRequest) -> Result<HistoryPage, StorageFault> {
        let ThreadRequest { root, page } = request;
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let mut replies = self
            .store
            .replies_to(root, page.from, page.limit.saturating_add(1))?;
        let mut more = replies.len() > limit;
        replies.truncate(limit);
        let wanted = Wanted {
            from: root,
            to: root,
            others: replies.clone(),
        };
        let mut changed = self.store.changed_messages(&wanted)?;
        let mut messages = Vec::new();
        let mut bytes = 0_usize;
        for reply in replies {
            let Some(row) = self.messages.find_row(&mut self.store, reply, self.now)? else {
                continue;
            };
            let (of_reply, others): (Vec<_>, Vec<_>) =
                changed.into_iter().partition(|one| one.message == reply);
            changed = others;
            let shown = MessageChanges::from_iter(of_reply).apply_to(&row);
            bytes = bytes.saturating_add(shown.push().len());
            if bytes > page.bytes_max && !messages.is_empty() {
                more = true;
                break;
            }
            messages.push(shown);
        }
        if matches!(page.from, PageStart::Before(_)) {
            messages.reverse();
        }
        let epoch = Some(self.messages.epoch().clone());
        Ok(HistoryPage {
            epoch,
            messages,
            more,
            cursor: None,
        })
    }
}
