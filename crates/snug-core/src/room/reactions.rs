//! The path of a reaction to a message, from its command until the next flush stores it.

use std::collections::BTreeSet;

use super::{
    ReplyTo, Room,
    outbox::{PendingEntry, PendingReactions},
};
use crate::{
    ids::{ConnectionId, Offset, UserId},
    limits::{REACTIONS_MAX, USER_REACTIONS_MAX},
    protocol::{
        command::CommandId,
        push::Stored,
        reaction::{Reaction, Summary},
    },
    reply::Failure,
    storage::{
        changed::ChangedMessage,
        store::{StorageFault, Store},
    },
};

const NOT_READABLE: &str = "the reactions could not be read";
const TOO_MANY: &str = "a message can have at most 50 different reactions";
const TOO_MANY_OF_USER: &str = "a user can have at most 10 reactions on a message";

/// The reactions to a message, as they are now.
struct Reactions {
    summary: Summary,
    /// Their offset: that of the message if there have been none.
    offset: Offset,
    /// Those that are not stored yet.
    pending: Option<PendingReactions>,
}

impl<S: Store> Room<S> {
    /// Puts a reaction on a message for a member, or takes it back.
    pub(super) fn react(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        reaction: &Reaction<'_>,
    ) {
        let Some(connection) = self.roster.get(from) else {
            return;
        };
        let user = connection.subscription.user.clone();
        self.store_draft_with(reaction.of);
        self.flush_presence();
        let changed = self.find_reactions(reaction.of).and_then(|now| {
            let changed = self.plan_reactions(&user, reaction, &now)?;
            Ok((now.offset, changed))
        });
        match changed {
            Ok((_, Some(pending))) => {
                // The reply comes before the reactions.
                let stored = Stored::new(pending.offset, pending.time);
                self.outbox.push_ack(from, id, stored);
                self.draft_reactions(stored, &user, reaction, pending);
            }
            Ok((offset, None)) => {
                let known = Stored::new(offset, self.now).again();
                self.outbox.push_ack(from, id, known);
            }
            Err(failure) => self.answer(&ReplyTo::Command { from, id }, Err(failure)),
        }
    }

    /// Stores the draft if a message waits in it.
    pub(super) fn store_draft_with(&mut self, message: Offset) {
        if (self.outbox.draft()).is_some_and(|draft| message >= draft.first()) {
            self.flush();
        }
    }

    /// Returns the reactions to a message that is not deleted.
    fn find_reactions(&mut self, of: Offset) -> Result<Reactions, Failure> {
        let changes = self.find_undeleted(of)?.changes;
        let draft = self.outbox.draft();
        let pending = draft.and_then(|draft| draft.reactions_to(of)).cloned();
        let stored = changes.reactions();
        Ok(match pending {
            Some(pending) => Reactions {
                summary: pending.summary.clone(),
                offset: pending.offset,
                pending: Some(pending),
            },
            None => Reactions {
                summary: stored.map(ChangedMessage::summary).unwrap_or_default(),
                offset: stored.map_or(of, |stored| stored.last),
                pending: None,
            },
        })
    }

    /// Returns the reactions that the user has to the message, stored or not.
    fn own_reactions(
        &mut self,
        user: &UserId,
        of: Offset,
        pending: Option<&PendingReactions>,
    ) -> Result<BTreeSet<String>, StorageFault> {
        let stored = self.store.reactions_of(user, of)?;
        let mut own: BTreeSet<_> = stored.into_iter().collect();
        let toggled = pending.iter().flat_map(|pending| &pending.toggled);
        for ((_, name), is_on) in toggled.filter(|((one, _), _)| one == user) {
            match is_on {
                true => own.insert(name.clone()),
                false => own.remove(name),
            };
        }
        Ok(own)
    }

    /// Returns the reactions after this one; `None` if it changes nothing.
    fn plan_reactions(
        &mut self,
        user: &UserId,
        reaction: &Reaction<'_>,
        now: &Reactions,
    ) -> Result<Option<PendingReactions>, Failure> {
        let Reaction { of, name, is_on } = reaction;
        let pending = now.pending.as_ref();
        let own = self.own_reactions(user, *of, pending);
        let own = own.map_err(|StorageFault| Failure::Internal(NOT_READABLE))?;
        if own.contains(&**name) == *is_on {
            return Ok(None);
        }
        let mut summary = now.summary.clone();
        if *is_on {
            if own.len() >= USER_REACTIONS_MAX {
                return Err(Failure::TooLarge(TOO_MANY_OF_USER));
            }
            if summary.get(name).is_none() && summary.names() >= REACTIONS_MAX {
                return Err(Failure::TooLarge(TOO_MANY));
            }
            summary.add(name, user);
        } else if summary.remove(name, user)
            && let Some(other) = self.unlisted_user(reaction, &summary, user, pending)?
        {
            summary.list(name, other);
        }
        let stored = self.next_position(None);
        let mut changed = pending.cloned().unwrap_or_else(|| PendingReactions {
            of: *of,
            offset: stored.offset,
            time: stored.time,
            summary: Summary::default(),
            toggled: Default::default(),
        });
        changed.summary = summary;
        let toggle = (user.clone(), name.clone().into_owned());
        changed.toggled.insert(toggle, *is_on);
        Ok(Some(changed))
    }

    /// Returns a user with the reaction who is not listed in the summary.
    fn unlisted_user(
        &mut self,
        reaction: &Reaction<'_>,
        summary: &Summary,
        leaving: &UserId,
        pending: Option<&PendingReactions>,
    ) -> Result<Option<UserId>, Failure> {
        let Reaction { of, name, .. } = reaction;
        let listed = summary.get(name).map_or(&[][..], |tally| &tally.users);
        let toggled = pending.iter().flat_map(|pending| &pending.toggled);
        let toggled = toggled.filter(|((_, one), _)| one == name);
        let (on, off): (Vec<_>, Vec<_>) = toggled.partition(|(_, is_on)| **is_on);
        let is_off = |user: &UserId| off.iter().any(|((one, _), _)| one == user);
        // So many of those that are stored may be listed, leaving, or have left.
        let limit = listed.len().saturating_add(off.len()).saturating_add(2);
        let stored = self.store.users_with(name, *of, limit);
        let stored = stored.map_err(|StorageFault| Failure::Internal(NOT_READABLE))?;
        let stored = stored.into_iter().filter(|user| !is_off(user));
        let users = stored.chain(on.into_iter().map(|((user, _), _)| user.clone()));
        let is_unlisted = |user: &UserId| user != leaving && !listed.contains(user);
        Ok(users.into_iter().find(is_unlisted))
    }

    /// Adds reactions to the draft, which the next flush stores and sends.
    fn draft_reactions(
        &mut self,
        stored: Stored,
        user: &UserId,
        reaction: &Reaction<'_>,
        changed: PendingReactions,
    ) {
        let is_more = self
            .outbox
            .draft()
            .is_some_and(|draft| draft.reactions_to(reaction.of).is_some());
        if is_more {
            let bytes = user.as_str().len().saturating_add(reaction.name.len());
            self.outbox.replace_reactions(changed, bytes);
        } else {
            let entry = PendingEntry::Reactions(changed);
            self.outbox.push_entry(stored, entry, None, None);
        }
    }
}
