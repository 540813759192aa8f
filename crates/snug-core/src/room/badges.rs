//! Badges: a subscription that receives no messages, only how many of them are new, and the newest one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::Room;
use crate::{
    fan_out::Audience,
    ids::{ConnectionId, Offset, UserId},
    limits::{BADGE_LAST_BYTES_MAX, PAGE_BYTES_MAX},
    protocol::{
        page::{PageRequest, PageStart},
        push::{Badge, Push, ReadState},
    },
    storage::{entry::StoredEntry, store::Store},
};

/// The users whose badges are out of date.
#[derive(Debug, Default)]
pub(super) enum Stale {
    #[default]
    None,
    Of(BTreeSet<UserId>),
    All,
}

impl Stale {
    /// Adds a user who has read on.
    pub(super) fn add(&mut self, user: &UserId) {
        match self {
            Self::None => *self = Self::Of([user.clone()].into()),
            Self::Of(users) => {
                users.insert(user.clone());
            }
            Self::All => {}
        }
    }

    /// Returns true if no badge is out of date.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn includes(&self, user: &UserId) -> bool {
        match self {
            Self::None => false,
            Self::Of(users) => users.contains(user),
            Self::All => true,
        }
    }
}

impl<S: Store> Room<S> {
    /// Sends the badges that are out of date.
    pub(super) fn send_badges(&mut self, stale: &Stale) {
        if stale.is_none() {
            return;
        }
        let unlisted = self.roster.unlisted().iter();
        let badges = unlisted.filter(|(user, _)| stale.includes(user));
        let badges = badges.map(|(user, ids)| (user.clone(), self.readers(ids)));
        let badges: Vec<_> = badges.filter(|(_, ids)| !ids.is_empty()).collect();
        self.send_badges_to(badges);
    }

    /// Sends its badge to a subscription that has just begun.
    pub(super) fn send_first_badge(&mut self, to: ConnectionId) {
        let subscription = self.roster.get(to).map(|one| &one.subscription);
        if let Some(badge) = subscription.filter(|one| !one.is_listed()) {
            self.send_badges_to(vec![(badge.user.clone(), vec![to])]);
        }
    }

    /// Returns those connections whose tokens still let them read.
    fn readers(&self, ids: &BTreeSet<ConnectionId>) -> Vec<ConnectionId> {
        let may_read = |id: &ConnectionId| {
            let connection = self.roster.get(*id);
            connection.is_some_and(|one| one.subscription.can.may_read())
        };
        ids.iter().copied().filter(may_read).collect()
    }

    /// Users with the same counts share one text.
    fn send_badges_to(&mut self, badges: Vec<(UserId, Vec<ConnectionId>)>) {
        let users: Vec<_> = badges.iter().map(|(user, _)| user.clone()).collect();
        if users.is_empty() || self.load_positions(&users).is_err() {
            return;
        }
        let mut groups: BTreeMap<_, Vec<ConnectionId>> = BTreeMap::new();
        for (user, ids) in badges {
            if let Some(ReadState {
                unread, mentions, ..
            }) = self.unread_of(&user)
            {
                groups.entry((unread, mentions)).or_default().extend(ids);
            }
        }
        let last = self.newest_message();
        let last = last.as_ref().and_then(shown);
        for ((unread, mentions), ids) in groups {
            let badge = Push::Badge(Badge {
                offset: self.messages.newest(),
                unread,
                mentions,
                last: last.as_deref(),
            });
            self.outbox.push_line(Audience::these(ids), badge.to_line());
        }
    }

    /// Returns the newest message as it is now; `None` if there is none.
    fn newest_message(&mut self) -> Option<StoredEntry> {
        let offset = self.newest_in_tail()?;
        let request = PageRequest {
            from: PageStart::After(Offset(offset.0.saturating_sub(1))),
            limit: 1,
            bytes_max: PAGE_BYTES_MAX,
        };
        let page = self.messages.read_page(&mut self.store, request, self.now);
        let (entries, _) = page.ok()?.finish();
        let entry = entries.into_iter().next()?;
        (entry.read()?.offset == offset).then_some(entry)
    }
}

/// Returns a message as a badge has it: as in a page of history, but without its data if that is long.
fn shown(entry: &StoredEntry) -> Option<Box<RawValue>> {
    let json = format!("{{{}", entry.fields());
    if json.len() <= BADGE_LAST_BYTES_MAX {
        return RawValue::from_string(json).ok();
    }
    let mut fields: BTreeMap<&str, &RawValue> = serde_json::from_str(&json).ok()?;
    fields.remove("data");
    serde_json::value::to_raw_value(&fields).ok()
}
