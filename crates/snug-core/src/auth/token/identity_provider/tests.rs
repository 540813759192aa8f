//! What `provider.rs` promises.

use super::*;
use crate::auth::token::{Algorithm, PublicAlgorithm};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

#[test]
fn keys_are_fetched_once_and_used_for_an_hour() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    for later in [0, 1, HOUR - 1] {
        assert!(found(&mut provider, "a", NOW.plus_ms(later)), "{later}");
    }
    assert!(matches!(
        look(&mut provider, "a", NOW.plus_ms(HOUR)),
        KeyLookup::Fetch
    ));
    // While one asks, the others go on with what is there.
    assert!(found(&mut provider, "a", NOW.plus_ms(HOUR)));
}

#[test]
fn whoever_comes_while_the_first_keys_are_fetched_waits() {
    let mut provider = IdentityProvider::default();
    assert!(matches!(look(&mut provider, "a", NOW), KeyLookup::Fetch));
    assert!(matches!(
        look(&mut provider, "a", NOW.plus_ms(4_999)),
        KeyLookup::Wait
    ));
    provider.fetched(Some(set("a")), NOW.plus_ms(4_999));
    assert!(found(&mut provider, "a", NOW.plus_ms(4_999)));
}

#[test]
fn a_fetch_that_never_ends_is_not_waited_for() {
    let mut provider = IdentityProvider::default();
    assert!(matches!(look(&mut provider, "a", NOW), KeyLookup::Fetch));
    let late = NOW.plus_ms(FETCH_MS_MAX);
    assert!(matches!(look(&mut provider, "a", late), KeyLookup::Fetch));
}

#[test]
fn an_unknown_kid_is_sought_at_most_once_a_minute() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    fetches(&mut provider, "b", NOW.plus_ms(1), Some("a"));
    for later in [2, MINUTE] {
        assert_eq!(refused(&mut provider, "b", NOW.plus_ms(later)), NOT_SIGNED);
        assert_eq!(refused(&mut provider, "c", NOW.plus_ms(later)), NOT_SIGNED);
        assert!(found(&mut provider, "a", NOW.plus_ms(later)));
    }
    fetches(&mut provider, "c", NOW.plus_ms(MINUTE + 1), Some("c"));
    assert!(found(&mut provider, "c", NOW.plus_ms(MINUTE + 1)));
    assert_eq!(
        refused(&mut provider, "a", NOW.plus_ms(MINUTE + 1)),
        NOT_SIGNED
    );
}

#[test]
fn keys_are_used_for_a_day_while_the_provider_is_down() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    let mut fetched = 0;
    for minutes in 60..24 * 60 {
        let now = NOW.plus_ms(minutes * MINUTE);
        if let KeyLookup::Fetch = look(&mut provider, "a", now) {
            fetched += 1;
            provider.fetched(None, now);
        }
        assert!(found(&mut provider, "a", now), "{minutes}");
    }
    // It is asked as long as it is down, and not for everybody who comes.
    assert_eq!(fetched, 23 * 60);
    let day = NOW.plus_ms(24 * HOUR);
    fetches(&mut provider, "a", day, None);
    assert_eq!(refused(&mut provider, "a", day), Refusal::AuthUnavailable);
}

#[test]
fn a_provider_that_was_never_up_is_asked_again_after_ten_seconds() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, None);
    let soon = NOW.plus_ms(RETRY_EMPTY_MS - 1);
    assert_eq!(refused(&mut provider, "a", soon), Refusal::AuthUnavailable);
    fetches(&mut provider, "a", NOW.plus_ms(RETRY_EMPTY_MS), Some("a"));
    assert!(found(&mut provider, "a", NOW.plus_ms(RETRY_EMPTY_MS)));
}

#[test]
fn whether_a_kid_is_unknown_cannot_be_told_while_the_provider_is_down() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    fetches(&mut provider, "b", NOW, None);
    assert_eq!(refused(&mut provider, "b", NOW), Refusal::AuthUnavailable);
    assert!(found(&mut provider, "a", NOW));
    fetches(&mut provider, "b", NOW.plus_ms(MINUTE), Some("b"));
    assert!(found(&mut provider, "b", NOW.plus_ms(MINUTE)));
}

#[test]
fn one_who_asks_and_is_cut_off_keeps_nobody_from_asking() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    assert!(matches!(
        look(&mut provider, "forged", NOW),
        KeyLookup::Fetch
    ));
    // Nobody ever says what came of it.
    let soon = NOW.plus_ms(FETCH_MS_MAX - 1);
    assert!(matches!(look(&mut provider, "b", soon), KeyLookup::Wait));
    assert!(found(&mut provider, "a", soon));
    fetches(&mut provider, "b", NOW.plus_ms(FETCH_MS_MAX), Some("b"));
    assert!(found(&mut provider, "b", NOW.plus_ms(FETCH_MS_MAX)));
}

#[test]
fn what_is_no_set_takes_none_away() {
    for answer in ["", "{", "null", "[]", "<html>", r#"{"keys":7}"#] {
        let mut provider = IdentityProvider::default();
        fetches(&mut provider, "a", NOW, Some("a"));
        let later = NOW.plus_ms(HOUR);
        assert!(matches!(look(&mut provider, "a", later), KeyLookup::Fetch));
        assert!(!provider.fetched(Some(answer.into()), later), "{answer}");
        assert!(found(&mut provider, "a", later), "{answer}");
    }
}

#[test]
fn a_provider_that_takes_its_keys_away_is_believed() {
    for answer in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[{"kty":"oct"}]}"#,
    ] {
        let mut provider = IdentityProvider::default();
        fetches(&mut provider, "a", NOW, Some("a"));
        let later = NOW.plus_ms(HOUR);
        assert!(matches!(look(&mut provider, "a", later), KeyLookup::Fetch));
        assert!(!provider.fetched(Some(answer.into()), later), "{answer}");
        // It may have new ones.
        assert!(matches!(look(&mut provider, "a", later), KeyLookup::Fetch));
        assert!(!provider.fetched(Some(answer.into()), later), "{answer}");
        assert_eq!(refused(&mut provider, "a", later), NOT_SIGNED);
    }
}

#[test]
fn what_is_noted_for_later_by_a_clock_that_was_ahead_does_not_count() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW.plus_ms(HOUR), Some("a"));
    fetches(&mut provider, "b", NOW.plus_ms(HOUR), Some("a"));
    let shared = provider.share().unwrap();
    fetches(&mut provider, "a", NOW, Some("a"));
    assert!(matches!(look(&mut provider, "b", NOW), KeyLookup::Fetch));
    // Nor does it keep others from asking for longer than a minute.
    let mut other = IdentityProvider::default();
    assert!(other.adopt(&shared, &signer("a"), NOW));
    let minute = NOW.plus_ms(MINUTE);
    assert!(matches!(look(&mut other, "b", minute), KeyLookup::Fetch));
}

#[test]
fn what_another_isolate_has_fetched_need_not_be_fetched() {
    let mut one = IdentityProvider::default();
    fetches(&mut one, "a", NOW, Some("a"));
    let shared = one.share().unwrap();

    let mut other = IdentityProvider::default();
    let later = NOW.plus_ms(HOUR - 1);
    assert!(matches!(look(&mut other, "a", later), KeyLookup::Fetch));
    assert!(other.adopt(&shared, &signer("a"), later));
    assert!(found(&mut other, "a", later));
    // It is as old as it is.
    assert!(matches!(
        look(&mut other, "a", NOW.plus_ms(HOUR)),
        KeyLookup::Fetch
    ));
    assert!(!other.adopt(&shared, &signer("a"), NOW.plus_ms(HOUR)));
    assert!(other.fetched(Some(set("a")), NOW.plus_ms(HOUR)));
}

#[test]
fn what_another_isolate_has_sought_in_vain_is_not_sought_again() {
    let mut one = IdentityProvider::default();
    fetches(&mut one, "a", NOW, Some("a"));
    let before = one.share().unwrap();
    fetches(&mut one, "b", NOW.plus_ms(SECOND), Some("a"));
    let after = one.share().unwrap();

    let mut other = IdentityProvider::default();
    let now = NOW.plus_ms(2 * SECOND);
    assert!(matches!(look(&mut other, "c", now), KeyLookup::Fetch));
    assert!(
        !other.adopt(&before, &signer("c"), now),
        "nobody has sought yet"
    );
    assert!(other.adopt(&after, &signer("c"), now));
    assert_eq!(refused(&mut other, "c", now), NOT_SIGNED);
    assert!(matches!(
        look(&mut other, "c", NOW.plus_ms(MINUTE + SECOND)),
        KeyLookup::Fetch
    ));
}

#[test]
fn what_was_shared_before_does_not_take_newer_keys_away() {
    let mut one = IdentityProvider::default();
    fetches(&mut one, "a", NOW, Some("a"));
    let shared = one.share().unwrap();
    let mut other = IdentityProvider::default();
    fetches(&mut other, "b", NOW.plus_ms(1), Some("b"));
    other.adopt(&shared, &signer("a"), NOW.plus_ms(2));
    assert!(found(&mut other, "b", NOW.plus_ms(2)));
    for garbage in ["", "{}", "null", r#"{"at":1,"sought_at":null,"text":"{}"}"#] {
        assert!(
            !IdentityProvider::default().adopt(garbage, &signer("a"), NOW),
            "{garbage}"
        );
    }
}

/// Looks, has to fetch, and gets a set with this key, or nothing.
#[track_caller]
fn fetches(provider: &mut IdentityProvider, kid: &str, now: Timestamp, answer: Option<&str>) {
    assert!(
        matches!(look(provider, kid, now), KeyLookup::Fetch),
        "{kid} was not fetched"
    );
    assert_eq!(provider.fetched(answer.map(set), now), answer.is_some());
}

fn found(provider: &mut IdentityProvider, kid: &str, now: Timestamp) -> bool {
    matches!(look(provider, kid, now), KeyLookup::Found(keys) if keys.len() == 1)
}

#[track_caller]
fn refused(provider: &mut IdentityProvider, kid: &str, now: Timestamp) -> Refusal {
    match look(provider, kid, now) {
        KeyLookup::Refused(refusal) => refusal,
        _ => panic!("{kid} was not refused"),
    }
}

fn look(provider: &mut IdentityProvider, kid: &str, now: Timestamp) -> KeyLookup {
    provider.look_up(&signer(kid), now)
}

fn signer(kid: &str) -> KeySelector {
    KeySelector {
        algorithm: Algorithm::Public(PublicAlgorithm::EdDsa),
        key_id: Some(kid.into()),
    }
}

fn set(kid: &str) -> String {
    // RFC 8037, appendix A.2.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}]}}"#)
}
