//! The path of a change of a message, from its command or API request until the next flush stores it.

use std::{borrow::Cow, rc::Rc};

use serde_json::value::RawValue;

use super::{
    ReplyTo, Room,
    messages::Found,
    outbox::{PendingAction, PendingChange, PendingEntry},
    publish::Author,
    publish_hook::Proposal,
    threads::Root,
};
use crate::{
    backend::api::{ApiRequestId, Caller, ChangeRequest, read_change_body},
    capability::Capabilities,
    ids::{ConnectionId, Offset, UserId},
    protocol::{
        change::{ActionKind, Change, ChangeAction},
        command::CommandId,
        json,
        push::Stored,
        refusal::Refusal,
    },
    reply::{Failure, Reply},
    storage::{
        changed::{Appendable, emptied, without_data},
        entry::StoredEntry,
        store::{StorageFault, Store},
    },
};

const NOT_READABLE: &str = "the message could not be read";
const NOT_APPENDABLE: &str = "text can be appended only to a message whose data is a string, or an object with a string 'text'";
const TOO_LONG: &str = "the message with the appended text would exceed the size limit";

/// A change that its author may make, of a message that has been found.
#[derive(Debug)]
pub(super) struct PlannedChange {
    stored: Stored,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// The change gets an entry of its own. If it deletes a reply, it also changes the number of replies of this root.
    New(Box<PendingChange>, Option<Root>),
    /// The text goes with an append that has not been stored yet.
    More(String),
}

/// A message that is about to be changed.
struct Target {
    user: UserId,
    /// Its version now.
    version: u64,
    /// Its content now.
    data: Option<Box<RawValue>>,
    row_before: Rc<str>,
    row: StoredEntry,
}

impl Target {
    /// Reads a stored message; `None` if it has no author.
    fn of(found: Found) -> Result<Option<Self>, Failure> {
        let Found { row, changes } = found;
        let Some(user) = row.read().and_then(|fields| fields.user) else {
            return Ok(None);
        };
        let (version, data) = match changes.content() {
            Some(changed) => {
                let last = changed.read().ok_or(Failure::Internal(NOT_READABLE))?;
                (last.version, last.data.map(ToOwned::to_owned))
            }
            None => (1, json::data_of(row.push())),
        };
        Ok(Some(Self {
            user,
            version,
            data,
            row_before: row.push().clone(),
            row,
        }))
    }
}

impl<S: Store> Room<S> {
    /// Changes a message for a member.
    pub(super) fn change(&mut self, from: ConnectionId, id: Option<CommandId>, change: Change<'_>) {
        if change.key.is_some() && self.load_keys().is_err() {
            return self.reject_unstored(from, id.as_ref());
        }
        let Some(connection) = self.roster.get(from) else {
            return;
        };
        let author = Author::of(connection);
        let (can, bytes_max) = (
            connection.subscription.can,
            connection.subscription.message_bytes_max,
        );
        match self.find_key(&author.user, change.key.as_deref()) {
            // The reply must not overtake those to the connection's earlier messages.
            Some(stored) if !self.hook_queue.has_messages_of(from) => {
                return self.outbox.push_ack(from, id, stored);
            }
            _ => {}
        }
        let planned = self.plan(&author, Some(can), &change, bytes_max);
        let is_hooked =
            self.rules.publish_fallback.is_some() && change.action.kind() != ActionKind::Delete;
        match planned {
            Ok(_) if is_hooked => {
                let change = Proposal::Change(change.into_owned());
                self.await_decision(from, id, author, change);
            }
            Ok(planned) => self.ack_change(from, id, &author, &change, planned),
            Err(failure) => self.answer(&ReplyTo::Command { from, id }, Err(failure)),
        }
    }

    /// Makes a change that the application has allowed, if it is still possible.
    pub(super) fn change_as_decided(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: &Author,
        change: &Change<'_>,
        bytes_max: usize,
    ) {
        // A connection that has ended was allowed to make the change when it sent it.
        let can = (self.roster.get(from)).map(|one| one.subscription.can);
        match self.plan(author, can, change, bytes_max) {
            Ok(planned) => self.ack_change(from, id, author, change, planned),
            Err(failure) => self.answer(&ReplyTo::Command { from, id }, Err(failure)),
        }
    }

    fn ack_change(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: &Author,
        change: &Change<'_>,
        planned: PlannedChange,
    ) {
        // The reply comes before the change.
        self.outbox.push_ack(from, id, planned.stored);
        self.draft_change(author, change, planned);
    }

    /// Changes a message for the back end.
    pub(super) fn change_for(
        &mut self,
        id: ApiRequestId,
        caller: &Caller,
        change: Change<'_>,
        user: Option<UserId>,
    ) {
        if change.key.is_some() && self.load_keys().is_err() {
            return self.respond(id, Err(Refusal::Internal));
        }
        let author = Author::without_connection(user.unwrap_or_else(|| caller.user.clone()));
        let epoch = self.messages.epoch().clone();
        if let Some(change) = self.find_key(&author.user, change.key.as_deref()) {
            self.store_draft();
            return self.respond(id, Ok(Reply::Changed { epoch, change }));
        }
        let bytes_max = caller.message_bytes_max(&self.rules);
        match self.plan(&author, None, &change, bytes_max) {
            Ok(planned) => {
                let reply = Reply::Changed {
                    epoch,
                    change: planned.stored,
                };
                self.draft_change(&author, &change, planned);
                self.outbox.respond_when_stored(id, reply);
            }
            Err(failure) => self.respond(id, Err(failure.into())),
        }
    }

    /// Finds the message, and decides whether and how the author may change it. Without capabilities, it may
    /// change every message, as the back end may.
    fn plan(
        &mut self,
        author: &Author,
        can: Option<Capabilities>,
        change: &Change<'_>,
        bytes_max: usize,
    ) -> Result<PlannedChange, Failure> {
        self.store_draft_with(change.of);
        self.flush_presence();
        let target = self.find_target(change)?.ok_or(Failure::NotFound)?;
        let (own, any) = change.action.kind().needs();
        let is_own = target.user == author.user;
        let may_change = |can: Capabilities| can.has(any) || (is_own && can.has(own));
        if !can.is_none_or(may_change) {
            return Err(Failure::Forbidden);
        }
        self.plan_for(author, change, target, bytes_max)
    }

    /// Plans the deletion of a message for the back end. The caller has stored the draft.
    pub(super) fn plan_deletion(
        &mut self,
        author: &Author,
        deletion: &Change<'_>,
        found: Found,
    ) -> Result<PlannedChange, Failure> {
        let target = Target::of(found)?.ok_or(Failure::NotFound)?;
        self.plan_for(author, deletion, target, usize::MAX)
    }

    fn plan_for(
        &mut self,
        author: &Author,
        change: &Change<'_>,
        target: Target,
        bytes_max: usize,
    ) -> Result<PlannedChange, Failure> {
        let Some(data) = target.data else {
            return Err(Failure::NotFound);
        };
        if change
            .if_version
            .is_some_and(|version| version != target.version)
        {
            let version = target.version;
            return Err(Failure::Conflict { version });
        }
        if let Some(more) = self.append_more(author, change, bytes_max)? {
            return Ok(more);
        }
        let mut root = None;
        let (row, action) = match &change.action {
            ChangeAction::Edit(data) => {
                let data = json::one_line(data).into_owned();
                (without_data(target.row.push()), PendingAction::Edit(data))
            }
            ChangeAction::Append(text) => {
                let whole = Appendable::read(&data);
                let mut whole = whole.ok_or(Failure::Unsuitable(NOT_APPENDABLE))?;
                if whole.bytes_with(text) > bytes_max {
                    return Err(Failure::TooLarge(TOO_LONG));
                }
                whole.append(text);
                let text = text.clone().into_owned();
                let action = PendingAction::Append { text, whole };
                (without_data(target.row.push()), action)
            }
            ChangeAction::Delete { reason } => {
                root = self.find_root_of(&target.row)?;
                let fields = target.row.read();
                let empty = fields.as_ref().and_then(emptied);
                let reason = reason.clone().map(Cow::into_owned);
                let row = empty.ok_or(Failure::Internal(NOT_READABLE))?;
                (row, PendingAction::Delete { reason })
            }
        };
        let version = target.version.saturating_add(1);
        let stored = Stored {
            version: Some(version),
            ..self.next_position(None)
        };
        let pending = PendingChange {
            of: change.of,
            offset: stored.offset,
            time: stored.time,
            version,
            user: author.user.clone(),
            connection: author.connection,
            action,
            row_before: target.row_before,
            row: StoredEntry::new(row.into()),
            is_closed: false,
        };
        let step = Step::New(Box::new(pending), root);
        Ok(PlannedChange { stored, step })
    }

    /// Plans to append text with an append of the same author that has not been stored yet: both become one
    /// change. Returns `None` if there is none.
    fn append_more(
        &self,
        author: &Author,
        change: &Change<'_>,
        bytes_max: usize,
    ) -> Result<Option<PlannedChange>, Failure> {
        let pending = self
            .outbox
            .draft()
            .and_then(|draft| draft.change_of(change.of));
        let (ChangeAction::Append(text), Some(pending)) = (&change.action, pending) else {
            return Ok(None);
        };
        let PendingAction::Append { whole, .. } = &pending.action else {
            return Ok(None);
        };
        let is_same_author = pending.user == author.user && pending.connection == author.connection;
        if !is_same_author || pending.is_closed {
            return Ok(None);
        }
        if whole.bytes_with(text) > bytes_max {
            return Err(Failure::TooLarge(TOO_LONG));
        }
        Ok(Some(PlannedChange {
            stored: Stored {
                version: Some(pending.version),
                ..Stored::new(pending.offset, pending.time)
            },
            step: Step::More(text.clone().into_owned()),
        }))
    }

    /// Returns the message as it is now, with the changes that are not stored yet; `None` if there is none.
    fn find_target(&mut self, change: &Change<'_>) -> Result<Option<Target>, Failure> {
        let pending = self
            .outbox
            .draft()
            .and_then(|draft| draft.change_of(change.of));
        if let Some(pending) = pending {
            let user = pending.row.read().and_then(|fields| fields.user);
            return Ok(user.map(|user| Target {
                user,
                version: pending.version,
                data: match &pending.action {
                    PendingAction::Edit(data) => Some(data.clone()),
                    PendingAction::Append { whole, .. } => Some(whole.clone().into_data()),
                    PendingAction::Delete { .. } => None,
                },
                row_before: pending.row_before.clone(),
                row: pending.row.clone(),
            }));
        }
        let found = self.messages.find(&mut self.store, change.of, self.now);
        let found = found.map_err(|StorageFault| Failure::Internal(NOT_READABLE))?;
        found.map_or(Ok(None), Target::of)
    }

    /// Returns a message that is neither deleted nor about to be.
    pub(super) fn find_undeleted(&mut self, message: Offset) -> Result<Found, Failure> {
        let is_deleted = (self.outbox.draft())
            .and_then(|draft| draft.change_of(message))
            .is_some_and(PendingChange::is_deletion);
        let found = (self.messages).find_stored(&mut self.store, message, self.now);
        let found = found.map_err(|StorageFault| Failure::Internal(NOT_READABLE))?;
        let found = found.filter(|found| !is_deleted && !found.changes.is_deleted());
        found.ok_or(Failure::NotFound)
    }

    /// Adds a change to the draft, which the next flush stores and sends.
    pub(super) fn draft_change(
        &mut self,
        author: &Author,
        change: &Change<'_>,
        planned: PlannedChange,
    ) {
        let PlannedChange { stored, step } = planned;
        let key = self.remember_key(author, change.key.as_deref(), stored);
        match step {
            Step::New(pending, root) => {
                let entry = PendingEntry::Change(*pending);
                self.outbox.push_entry(stored, entry, author.except, key);
                if let Some(root) = root {
                    self.uncount_reply(root);
                }
            }
            Step::More(text) => self.outbox.append_more(change.of, &text, key),
        }
    }

    /// Reads the body of an API request that changes a message, and makes the change.
    pub(super) fn change_by_request(
        &mut self,
        id: ApiRequestId,
        caller: &Caller,
        request: &ChangeRequest,
        body: &str,
    ) -> Result<(), Refusal> {
        let (change, user) =
            read_change_body(request, body, caller.message_bytes_max(&self.rules))?;
        self.change_for(id, caller, change, user);
        Ok(())
    }
}
