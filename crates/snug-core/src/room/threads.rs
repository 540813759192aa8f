//! Threads: replies to a message, which count for it, and the pages of them.

use super::{
    ReplyTo, Room,
    messages::Found,
    outbox::{PendingEntry, PendingReplies},
};
use crate::{
    ids::Offset,
    protocol::{
        page::{PageStart, ThreadRequest},
        push::ReplyCount,
    },
    reply::{Failure, HistoryPage, Reply},
    storage::{
        batch::Wanted,
        changed::MessageChanges,
        entry::StoredEntry,
        store::{StorageFault, Store},
    },
};

const NOT_READABLE: &str = "the thread could not be read";

/// The first message of a thread. It is read before a reply is added to the draft, or its deletion, so that a reply
/// cannot be stored without being counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) offset: Offset,
    /// The replies that are stored.
    count: ReplyCount,
}

impl Root {
    fn of(offset: Offset, found: &Found) -> Self {
        Self {
            offset,
            count: found.changes.replies().unwrap_or_default(),
        }
    }
}

impl<S: Store> Room<S> {
    /// Returns the first message of the thread to which a reply belongs: the message that it is a reply to, or
    /// that message's own root.
    pub(super) fn find_root(&mut self, re: Offset) -> Result<Root, Failure> {
        self.store_draft_with(re);
        let message = self.find_undeleted(re)?;
        let root = message.row.read().and_then(|fields| fields.re);
        match root {
            Some(root) => Ok(Root::of(root, &self.find_undeleted(root)?)),
            None => Ok(Root::of(re, &message)),
        }
    }

    /// Returns the first message of a reply's thread, deleted or not. `None` if the message is not a reply, or if
    /// its thread is not stored any more, so that nothing counts the replies.
    pub(super) fn find_root_of(&mut self, reply: &StoredEntry) -> Result<Option<Root>, Failure> {
        let Some(root) = reply.read().and_then(|fields| fields.re) else {
            return Ok(None);
        };
        let found = self.messages.find_stored(&mut self.store, root, self.now);
        let found = found.map_err(|StorageFault| Failure::Internal(NOT_READABLE))?;
        Ok(found.map(|found| Root::of(root, &found)))
    }

    /// Counts a reply that has just been added to the draft.
    pub(super) fn count_reply(&mut self, root: Root, reply: Offset) {
        self.change_replies(root, |replies| {
            replies.count.replies = replies.count.replies.saturating_add(1);
            replies.count.last_reply = reply;
            replies.added.push(reply);
        });
    }

    /// Lowers the number of replies by one, after the deletion of a reply has been added to the draft.
    pub(super) fn uncount_reply(&mut self, root: Root) {
        self.change_replies(root, |replies| {
            replies.count.replies = replies.count.replies.saturating_sub(1);
        });
    }

    /// Changes the number of replies of a message, with the next flush.
    fn change_replies(&mut self, root: Root, change: impl FnOnce(&mut PendingReplies)) {
        if let Some(replies) = self.outbox.replies_to(root.offset) {
            return change(replies);
        }
        let stored = self.next_position(None);
        let mut replies = PendingReplies {
            of: root.offset,
            offset: stored.offset,
            time: stored.time,
            count: root.count,
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
        let first = self.messages.find_row(&mut self.store, root, self.now)?;
        let mut replies = match first {
            Some(_) => {
                let most = page.limit.saturating_add(1);
                self.store.replies_to(root, page.from, most)?
            }
            // The room no longer keeps the first message, and trims what belongs to it some time later.
            None => Vec::new(),
        };
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
