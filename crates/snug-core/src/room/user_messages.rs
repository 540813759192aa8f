//! The messages of one user, for the back end: pages of them, and their deletion.

use std::borrow::Cow;

use super::{ReplyTo, Room, publish::Author};
use crate::{
    backend::api::{ApiRequestId, Caller},
    ids::{Offset, UserId},
    protocol::{
        change::{Change, ChangeAction},
        page::PageRequest,
        refusal::Refusal,
    },
    reply::{Failure, HistoryPage, Reply},
    storage::{
        entry::StoredEntry,
        store::{StorageFault, Store},
    },
};

const NOT_READABLE: &str = "the messages could not be read";

impl<S: Store> Room<S> {
    /// Sends a page of a user's messages.
    pub(super) fn send_messages_of(&mut self, id: ApiRequestId, user: &UserId, page: PageRequest) {
        self.store_draft();
        let page = (self.messages).read_page_of(&mut self.store, user, page, self.now);
        let page = page.map_err(|StorageFault| Failure::Internal(NOT_READABLE));
        let result = page.map(|page| {
            let cursor = page.cursor();
            let (messages, more) = page.finish();
            Reply::History(HistoryPage {
                epoch: Some(self.messages.epoch().clone()),
                messages,
                more,
                cursor,
            })
        });
        self.answer(&ReplyTo::Api(id), result);
    }

    /// Deletes a page of a user's messages, each by a change of its own. What is deleted already stays as it is, so
    /// that the request can be repeated.
    pub(super) fn delete_messages_of(
        &mut self,
        id: ApiRequestId,
        caller: &Caller,
        user: &UserId,
        page: PageRequest,
        reason: Option<&str>,
    ) {
        self.store_draft();
        let Ok(page) = (self.messages).search(&mut self.store, user, page, self.now) else {
            return self.respond(id, Err(Refusal::Internal));
        };
        let author = Author::without_connection(caller.user.clone());
        let mut deleted = 0_usize;
        self.flush_presence();
        for (of, row) in page.entries() {
            match self.draft_deletion(*of, row, &author, reason) {
                Ok(()) => deleted = deleted.saturating_add(1),
                Err(Failure::NotFound) => {}
                // Those before it are deleted, and a repeated request deletes the others.
                Err(failure) => return self.respond(id, Err(failure.into())),
            }
        }
        // The request itself has been counted already.
        self.callers.charge(id, deleted.saturating_sub(1), self.now);
        let reply = Reply::Deleted {
            epoch: Some(self.messages.epoch().clone()),
            deleted,
            cursor: page.cursor(),
        };
        if deleted > 0 {
            self.outbox.respond_when_stored(id, reply);
        } else {
            self.respond(id, Ok(reply));
        }
    }

    fn draft_deletion(
        &mut self,
        of: Offset,
        row: &StoredEntry,
        author: &Author,
        reason: Option<&str>,
    ) -> Result<(), Failure> {
        let change = Change {
            of,
            action: ChangeAction::Delete {
                reason: reason.map(Cow::Borrowed),
            },
            if_version: None,
            key: None,
        };
        let found = (self.messages).with_changes(&mut self.store, of, row.clone());
        let found = found.map_err(|StorageFault| Failure::Internal(NOT_READABLE))?;
        let planned = self.plan_deletion(author, &change, found)?;
        self.draft_change(author, &change, planned);
        Ok(())
    }
}
