//! Tests of what is known of the stored messages: positions, keys, trimming.

use crate::testing::store::MemoryStore;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const RETENTION: Retention = Retention {
    messages_max: 100,
    seconds_max: 60,
    bytes_max: 10_000,
};
const ALL_KEYS: KeyFloor = KeyFloor {
    offset: Offset(0),
    time: Timestamp(0),
};

fn messages(store: &MemoryStore) -> Messages {
    Messages::restore(&store.stored(), RETENTION)
}

/// The next batch: a message of this many bytes, with a key.
fn batch(messages: &Messages, bytes: usize) -> Batch {
    let (first, time) = (messages.newest().next(), NOW);
    Batch {
        first,
        count: 1,
        time,
        bytes_before: messages.bytes(),
        json: "x".repeat(bytes).into(),
        keys: vec![key(first)],
    }
}

fn key(offset: Offset) -> StoredKey {
    StoredKey {
        user: ann(),
        key: format!("key {}", offset.0).into(),
        stored: Stored::new(offset, NOW),
    }
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

#[test]
fn what_is_known_is_what_a_restored_room_would_know() {
    let mut store = MemoryStore::new();
    let mut messages = messages(&store);
    assert!(!messages.has_any());
    for bytes in [10, 20] {
        let next = batch(&messages, bytes);
        assert_eq!(messages.append(&mut store, &next, &[], None), Ok(false));
        let restored = Messages::restore(&store.stored(), RETENTION);
        assert_eq!(format!("{messages:?}"), format!("{restored:?}"));
    }
    assert_eq!((messages.newest(), messages.bytes()), (Offset(2), 30));
    assert_eq!(messages.count(&mut store, NOW), Ok(2));
}

#[test]
fn a_failed_append_changes_nothing_but_the_keys() {
    let mut store = MemoryStore::new();
    let mut messages = messages(&store);
    messages.load_keys(&mut store, ALL_KEYS).unwrap();
    let next = batch(&messages, 10);
    messages.remember_key(key(next.first), ALL_KEYS);
    assert!(messages.find_key(&ann(), "key 1", ALL_KEYS).is_some());
    store.faults = 1;
    let appended = messages.append(&mut store, &next, &[], None);
    assert_eq!(appended, Err(StorageFault));
    assert_eq!(messages.newest(), Offset(0));
    // The message was not stored, so that its key has to be free.
    messages.load_keys(&mut store, ALL_KEYS).unwrap();
    assert!(messages.find_key(&ann(), "key 1", ALL_KEYS).is_none());
}

#[test]
fn keys_are_read_once() {
    let mut store = MemoryStore::new();
    let mut messages = messages(&store);
    let next = batch(&messages, 10);
    messages.append(&mut store, &next, &[], None).unwrap();
    messages.load_keys(&mut store, ALL_KEYS).unwrap();
    store.faults = 1;
    assert_eq!(messages.load_keys(&mut store, ALL_KEYS), Ok(()));
    let found = messages.find_key(&ann(), "key 1", ALL_KEYS);
    assert_eq!(found, Some(Stored::new(Offset(1), NOW)));
}

#[test]
fn aged_messages_are_trimmed_and_the_offset_stays() {
    let mut store = MemoryStore::new();
    let mut messages = messages(&store);
    let next = batch(&messages, 10);
    messages.append(&mut store, &next, &[], None).unwrap();
    let due = messages.trim_at().unwrap();
    messages.trim(&mut store, due);
    assert!(!messages.has_any() && messages.trim_at().is_none());
    assert_eq!(messages.newest(), Offset(1));
    assert_eq!(messages.count(&mut store, due), Ok(0));
}

#[test]
fn a_failed_trim_is_tried_again_later() {
    let mut store = MemoryStore::new();
    let mut messages = messages(&store);
    let next = batch(&messages, 10);
    messages.append(&mut store, &next, &[], None).unwrap();
    let due = messages.trim_at().unwrap();
    store.faults = 1;
    messages.trim(&mut store, due);
    assert_eq!(messages.trim_at(), Some(due.plus_ms(TRIM_RETRY_MS)));
}

#[test]
fn only_a_position_of_this_epoch_can_be_brought_up_to_date() {
    let mut store = MemoryStore::new();
    let mut messages = messages(&store);
    for _ in 0..3 {
        let next = batch(&messages, 10);
        messages.append(&mut store, &next, &[], None).unwrap();
    }
    let missed = |epoch: &str, offset| {
        let (epoch, offset) = (epoch.into(), Offset(offset));
        let page = messages.missed_after(&Position { epoch, offset });
        page.map(|page| page.from)
    };
    assert_eq!(missed("e1", 1), Some(PageStart::After(Offset(1))));
    assert!(messages.are_all_after(PageStart::After(Offset(1)), 2));
    assert!(messages.are_all_before(missed("e1", 3).unwrap()));
    assert_eq!((missed("e1", 4), missed("e0", 1)), (None, None));
    messages.start_epoch(Epoch::new("e2"));
    assert_eq!(messages.newest(), Offset(0));
}
