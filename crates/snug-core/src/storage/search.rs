//! The search for one user's messages among the stored entries.

use super::entry::{EntryFields, is_change};
use crate::{
    ids::UserId,
    limits::{SEARCH_BYTES_MAX, SEARCH_ENTRIES_MAX},
};

/// A search that ends after it has examined so many entries, whether it has found any or not.
#[derive(Clone, Debug)]
pub(super) struct Search {
    user: UserId,
    /// The field that each of the messages has, as it is written.
    field: String,
    entries: usize,
    bytes: usize,
}

impl Search {
    /// Starts a search.
    pub(super) fn new(user: UserId) -> Self {
        // Serializing a string cannot fail.
        let name = serde_json::to_string(&user).unwrap_or_default();
        Self {
            user,
            field: format!(r#""user":{name}"#),
            entries: 0,
            bytes: 0,
        }
    }

    /// Returns true if no further entry may be examined.
    pub(super) fn is_over(&self) -> bool {
        self.entries >= SEARCH_ENTRIES_MAX || self.bytes >= SEARCH_BYTES_MAX
    }

    /// Examines an entry. Returns true if it is a message of the user, deleted or not.
    pub(super) fn finds(&mut self, text: &str) -> bool {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(text.len());
        // The content can have the field, too, but an entry without it need not be parsed.
        if is_change(text) || !text.contains(&self.field) {
            return false;
        }
        let fields: Option<EntryFields> = serde_json::from_str(text).ok();
        fields.is_some_and(|fields| fields.user.as_ref() == Some(&self.user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_messages_of_the_user_alone() {
        let finds = |user: &str, text: &str| Search::new(UserId::parse(user).unwrap()).finds(text);
        let message =
            r#"{"type":"message","offset":1,"time":1,"user":"ann","data":{"user":"bob"}}"#;
        assert!(finds("ann", message));
        for other in ["bob", "an", "ann2", "Ann"] {
            assert!(!finds(other, message), "{other}");
        }
        let quoted = r#"{"type":"message","offset":1,"time":1,"user":"a\"安","deleted":true}"#;
        assert!(finds("a\"安", quoted));
        let change = r#"{"type":"change","offset":2,"of":1,"user":"ann"}"#;
        assert!(!finds("ann", change));
    }

    #[test]
    fn a_search_is_over_after_its_entries_or_its_bytes() {
        let mut search = Search::new(UserId::parse("ann").unwrap());
        for _ in 0..SEARCH_ENTRIES_MAX {
            assert!(!search.is_over());
            search.finds("");
        }
        assert!(search.is_over());
        let mut search = Search::new(UserId::parse("ann").unwrap());
        search.finds(&"x".repeat(SEARCH_BYTES_MAX - 1));
        assert!(!search.is_over());
        search.finds("x");
        assert!(search.is_over());
    }
}
