//! Reactions to messages: short names, such as an emoji, that a user can put on a message and take back.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use crate::{
    ids::{Offset, UserId},
    limits::{REACTION_USERS_MAX, SUMMARY_USERS_MAX},
};

/// A reaction that a user puts on a message, or takes back.
#[derive(Clone, Debug)]
pub struct Reaction<'a> {
    /// The offset of the message.
    pub of: Offset,
    /// The name: 1 to [`crate::limits::REACTION_BYTES_MAX`] bytes.
    pub name: Cow<'a, str>,
    /// True if the user puts it on the message.
    pub is_on: bool,
}

/// The reactions to a message: names in the order of their first use, with their users. In JSON, an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary(Vec<(String, Tally)>);

/// The users with one reaction to a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The number of users.
    pub count: u64,
    /// The users, as many as are listed.
    pub users: Vec<UserId>,
}

impl Summary {
    /// Returns the number of names.
    pub fn names(&self) -> usize {
        self.0.len()
    }

    /// Returns the users with a reaction.
    pub fn get(&self, name: &str) -> Option<&Tally> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, tally)| tally)
    }

    /// Adds a user who did not have the reaction.
    pub fn add(&mut self, name: &str, user: &UserId) {
        let lists_more = self.listed() < SUMMARY_USERS_MAX;
        let tally = match self.0.iter_mut().position(|(known, _)| known == name) {
            Some(index) => self.0.get_mut(index),
            None => {
                self.0.push((name.to_owned(), Tally::default()));
                self.0.last_mut()
            }
        };
        if let Some((_, tally)) = tally {
            tally.count = tally.count.saturating_add(1);
            if lists_more && tally.users.len() < REACTION_USERS_MAX {
                tally.users.push(user.clone());
            }
        }
    }

    /// Removes a user who had the reaction. Returns true if another user has to be listed in its place.
    pub fn remove(&mut self, name: &str, user: &UserId) -> bool {
        let Some(index) = self.0.iter().position(|(known, _)| known == name) else {
            return false;
        };
        let Some((_, tally)) = self.0.get_mut(index) else {
            return false;
        };
        tally.count = tally.count.saturating_sub(1);
        let listed = tally.users.len();
        tally.users.retain(|one| one != user);
        let was_listed = tally.users.len() < listed;
        let has_others = tally.count > u64::try_from(tally.users.len()).unwrap_or(u64::MAX);
        if tally.count == 0 {
            self.0.remove(index);
        }
        was_listed && has_others
    }

    /// Lists a user who has the reaction.
    pub fn list(&mut self, name: &str, user: UserId) {
        if let Some((_, tally)) = self.0.iter_mut().find(|(known, _)| known == name) {
            tally.users.push(user);
        }
    }

    fn listed(&self) -> usize {
        self.0.iter().map(|(_, tally)| tally.users.len()).sum()
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, tally)| (name, tally)))
    }
}

impl<'de> Deserialize<'de> for Summary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SummaryVisitor)
    }
}

struct SummaryVisitor;

impl<'de> Visitor<'de> for SummaryVisitor {
    type Value = Summary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names to users")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Summary, A::Error> {
        let mut names = Vec::new();
        while let Some(entry) = map.next_entry()? {
            names.push(entry);
        }
        Ok(Summary(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::parse(&format!("u{number}")).unwrap()
    }

    fn json(summary: &Summary) -> String {
        serde_json::to_string(summary).unwrap()
    }

    #[test]
    fn names_keep_the_order_of_their_first_use() {
        let mut summary = Summary::default();
        for (name, number) in [("b", 1), ("a", 1), ("b", 2)] {
            summary.add(name, &user(number));
        }
        let text = r#"{"b":{"count":2,"users":["u1","u2"]},"a":{"count":1,"users":["u1"]}}"#;
        assert_eq!(json(&summary), text);
        assert_eq!(serde_json::from_str::<Summary>(text).unwrap(), summary);
        assert!(!summary.remove("b", &user(1)));
        assert!(!summary.remove("a", &user(1)));
        assert_eq!(json(&summary), r#"{"b":{"count":1,"users":["u2"]}}"#);
        assert!(!summary.remove("b", &user(2)));
        assert_eq!(json(&summary), "{}");
    }

    #[test]
    fn counts_all_users_and_lists_some() {
        let mut summary = Summary::default();
        for number in 0..=REACTION_USERS_MAX {
            summary.add("a", &user(number));
        }
        let tally = |summary: &Summary| {
            let tally = summary.get("a").unwrap();
            (tally.count as usize, tally.users.len())
        };
        assert_eq!(
            tally(&summary),
            (REACTION_USERS_MAX + 1, REACTION_USERS_MAX)
        );
        // The last one is not listed.
        let mut without_last = summary.clone();
        assert!(!without_last.remove("a", &user(REACTION_USERS_MAX)));
        assert!(summary.remove("a", &user(0)));
        summary.list("a", user(REACTION_USERS_MAX));
        assert_eq!(tally(&summary), (REACTION_USERS_MAX, REACTION_USERS_MAX));
    }

    #[test]
    fn lists_so_many_users_in_all() {
        let mut summary = Summary::default();
        let names = SUMMARY_USERS_MAX / REACTION_USERS_MAX + 1;
        for name in 0..names {
            for number in 0..REACTION_USERS_MAX {
                summary.add(&name.to_string(), &user(number));
            }
        }
        assert_eq!(summary.listed(), SUMMARY_USERS_MAX);
        let last = summary.get(&(names - 1).to_string()).unwrap();
        assert_eq!(
            (last.count, last.users.len()),
            (REACTION_USERS_MAX as u64, 0)
        );
    }
}
