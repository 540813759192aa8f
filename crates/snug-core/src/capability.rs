//! Capabilities, and the room patterns with which a token grants them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    ids::RoomName,
    names::{named_enum, set_of},
};

named_enum! {
    /// A permission of a connection or an API caller.
    pub enum Capability {
        /// Receive messages and signals.
        Receive = "receive",
        /// Publish messages.
        Publish = "publish",
        /// Send signals.
        Signal = "signal",
        /// See the members, and set a presence state.
        Presence = "presence",
        /// Read stored messages.
        History = "history",
        /// Edit one's own messages, and append to them.
        Edit = "edit",
        /// Delete one's own messages.
        Delete = "delete",
        /// React to messages.
        React = "react",
        /// See how far the members have read.
        Receipts = "receipts",
        /// Edit every user's messages, and append to them.
        EditAny = "edit_any",
        /// Delete every user's messages.
        DeleteAny = "delete_any",
        /// Kick and ban users.
        Moderate = "moderate",
        /// Full server access, for the application's back end.
        Serve = "serve",
    }
}

set_of! {
    /// A set of [`Capability`]; a list of names in JSON.
    pub struct Capabilities(Capability);
}

impl Capabilities {
    /// Returns what a plain list of rooms grants: `receive`, `publish`, `signal`, `presence`, `history`, `edit`,
    /// `delete` and `react`.
    pub fn default_grant() -> Self {
        use Capability::{Delete, Edit, History, Presence, Publish, React, Receive, Signal};
        [
            Receive, Publish, Signal, Presence, History, Edit, Delete, React,
        ]
        .into_iter()
        .collect()
    }

    /// Returns true if they allow to read new messages and old ones.
    pub fn may_read(self) -> bool {
        self.has(Capability::Receive) && self.has(Capability::History)
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Capability::ALL.iter().filter(|one| self.has(**one)))
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    /// Reads a list of names. Unknown names are ignored, because a later version may define them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names
            .iter()
            .filter_map(|name| Capability::named(name))
            .collect())
    }
}

/// The `rooms` claim: patterns, and what each grants.
///
/// A pattern is a room's exact name, a prefix with a trailing `*`, or `*` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Vec<(String, Capabilities)>);

impl Grants {
    /// Returns a grant of everything in all rooms.
    pub fn everything() -> Self {
        Self(vec![(
            "*".into(),
            Capability::ALL.iter().copied().collect(),
        )])
    }

    /// Returns true if any pattern grants the capability.
    pub fn has_anywhere(&self, needed: Capability) -> bool {
        self.0.iter().any(|(_, grant)| grant.has(needed))
    }

    /// Returns what the most specific matching pattern grants: the exact name or, failing that, the
    /// longest prefix. `None` if no pattern matches, or if that pattern grants nothing.
    pub fn for_room(&self, room: &RoomName) -> Option<Capabilities> {
        self.0
            .iter()
            .filter_map(|(pattern, grant)| Some((specificity(pattern, room.as_str())?, *grant)))
            .max_by_key(|(specificity, _)| *specificity)
            .map(|(_, grant)| grant)
            .filter(|grant| !grant.is_empty())
    }
}

/// Returns how closely a pattern matches the room; `None` if it does not match.
fn specificity(pattern: &str, room: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(prefix) => room.starts_with(prefix).then_some(prefix.len()),
        None => (pattern == room).then_some(usize::MAX),
    }
}

/// The error of a pattern that a map has twice.
pub(crate) const DUPLICATE_PATTERN: &str = "duplicate room pattern";

/// Grants in a form that is about as short as in a token: the patterns of each set of capabilities, whose names
/// are separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupedGrants(BTreeMap<String, Vec<String>>);

impl From<Grants> for GroupedGrants {
    fn from(grants: Grants) -> Self {
        let mut groups = BTreeMap::<String, Vec<String>>::new();
        for (pattern, can) in grants.0 {
            let granted = Capability::ALL.iter().filter(|one| can.has(**one));
            let names: Vec<_> = granted.map(|one| one.name()).collect();
            groups.entry(names.join(" ")).or_default().push(pattern);
        }
        Self(groups)
    }
}

impl From<GroupedGrants> for Grants {
    fn from(groups: GroupedGrants) -> Self {
        let grants = groups.0.into_iter().flat_map(|(names, patterns)| {
            let can: Capabilities = names.split(' ').filter_map(Capability::named).collect();
            patterns.into_iter().map(move |pattern| (pattern, can))
        });
        Self(grants.collect())
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(pattern, grant)| (pattern, grant)))
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GrantsVisitor)
    }
}

struct GrantsVisitor;

impl<'de> Visitor<'de> for GrantsVisitor {
    type Value = Grants;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of room patterns, or a map from them to capabilities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Grants, A::Error> {
        let mut grants = Vec::new();
        while let Some(pattern) = list.next_element()? {
            grants.push((pattern, Capabilities::default_grant()));
        }
        Ok(Grants(grants))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Grants, A::Error> {
        let mut grants: Vec<(String, Capabilities)> = Vec::new();
        while let Some(pattern) = map.next_key::<String>()? {
            if grants.iter().any(|(known, _)| *known == pattern) {
                map.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom(DUPLICATE_PATTERN));
            }
            grants.push((pattern, map.next_value()?));
        }
        Ok(Grants(grants))
    }
}

#[cfg(test)]
mod tests {
    use super::{Capability::*, *};

    fn grant(rooms: &str, room: &str) -> Option<Capabilities> {
        let grants: Grants = serde_json::from_str(rooms).unwrap();
        grants.for_room(&RoomName::parse(room).unwrap())
    }

    #[test]
    fn a_list_grants_the_default_capabilities() {
        let can = grant(r#"["lobby"]"#, "lobby").unwrap();
        assert_eq!(
            serde_json::to_string(&can).unwrap(),
            r#"["receive","publish","signal","presence","history","edit","delete","react"]"#
        );
    }

    #[test]
    fn a_map_grants_exactly_what_it_names() {
        let can = grant(r#"{"lobby":["receive","moderate","later"]}"#, "lobby").unwrap();
        assert_eq!(can, [Receive, Moderate].into_iter().collect());
    }

    #[test]
    fn patterns_match_an_exact_name_a_prefix_or_every_room() {
        for (rooms, room, matches) in [
            (r#"["lobby"]"#, "lobby", true),
            (r#"["lobby"]"#, "lobby2", false),
            (r#"["team:7:*"]"#, "team:7:general", true),
            (r#"["team:7:*"]"#, "team:70", false),
            (r#"["*"]"#, "anything", true),
            (r#"["*x"]"#, "ax", false),
            (r#"["a*b"]"#, "axb", false),
            (r#"[""]"#, "a", false),
            ("[]", "a", false),
        ] {
            assert_eq!(grant(rooms, room).is_some(), matches, "{rooms} {room}");
        }
    }

    #[test]
    fn only_the_most_specific_pattern_counts() {
        let rooms = r#"{"*":["receive","publish"],"team:*":["publish"],"team:7":["history"],"team:7:*":[]}"#;
        assert_eq!(
            grant(rooms, "other"),
            Some([Receive, Publish].into_iter().collect())
        );
        assert_eq!(
            grant(rooms, "team:8"),
            Some([Publish].into_iter().collect())
        );
        assert_eq!(
            grant(rooms, "team:7"),
            Some([History].into_iter().collect())
        );
        assert_eq!(grant(rooms, "team:7:x"), None);
    }

    #[test]
    fn rejects_rooms_that_are_neither_a_list_nor_a_map() {
        for bad in [
            r#""lobby""#,
            "7",
            "null",
            "[7]",
            r#"{"a":"receive"}"#,
            r#"{"a":["receive"],"a":[]}"#,
        ] {
            assert!(serde_json::from_str::<Grants>(bad).is_err(), "{bad}");
        }
    }
}
