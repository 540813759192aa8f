//! Tests of `identity_provider.rs`.

use super::*;
use crate::auth::token::{Algorithm, PublicAlgorithm};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

#[test]
fn fetches_keys_once_and_uses_them_for_an_hour() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    for later in [0, 1, HOUR - 1] {
        assert!(found(&mut provider, "a", NOW.plus_ms(later)), "{later}");
    }
    assert!(matches!(
        look_up(&mut provider, "a", NOW.plus_ms(HOUR)),
        KeyLookup::Fetch
    ));
    // Other requests use the cached keys during the fetch.
    assert!(found(&mut provider, "a", NOW.plus_ms(HOUR)));
}

#[test]
fn waits_while_the_first_keys_are_fetched() {
    let mut provider = IdentityProvider::default();
    assert!(matches!(look_up(&mut provider, "a", NOW), KeyLookup::Fetch));
    assert!(matches!(
        look_up(&mut provider, "a", NOW.plus_ms(4_999)),
        KeyLookup::Wait
    ));
    provider.fetched(Some(set("a")), NOW.plus_ms(4_999));
    assert!(found(&mut provider, "a", NOW.plus_ms(4_999)));
}

#[test]
fn fetches_again_if_a_fetch_never_ends() {
    let mut provider = IdentityProvider::default();
    assert!(matches!(look_up(&mut provider, "a", NOW), KeyLookup::Fetch));
    let late = NOW.plus_ms(FETCH_MS_MAX);
    assert!(matches!(
        look_up(&mut provider, "a", late),
        KeyLookup::Fetch
    ));
}

#[test]
fn fetches_for_an_unknown_kid_at_most_once_a_minute() {
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
fn uses_keys_for_a_day_while_the_provider_is_down() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    let mut fetched = 0;
    for minutes in 60..24 * 60 {
        let now = NOW.plus_ms(minutes * MINUTE);
        if let KeyLookup::Fetch = look_up(&mut provider, "a", now) {
            fetched += 1;
            provider.fetched(None, now);
        }
        assert!(found(&mut provider, "a", now), "{minutes}");
    }
    // Fetches are retried once a minute, not for each token.
    assert_eq!(fetched, 23 * 60);
    let day = NOW.plus_ms(24 * HOUR);
    fetches(&mut provider, "a", day, None);
    assert_eq!(refused(&mut provider, "a", day), Refusal::AuthUnavailable);
}

#[test]
fn retries_after_ten_seconds_if_it_has_no_keys() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, None);
    let soon = NOW.plus_ms(RETRY_EMPTY_MS - 1);
    assert_eq!(refused(&mut provider, "a", soon), Refusal::AuthUnavailable);
    fetches(&mut provider, "a", NOW.plus_ms(RETRY_EMPTY_MS), Some("a"));
    assert!(found(&mut provider, "a", NOW.plus_ms(RETRY_EMPTY_MS)));
}

#[test]
fn refuses_an_unknown_kid_as_unavailable_while_the_provider_is_down() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    fetches(&mut provider, "b", NOW, None);
    assert_eq!(refused(&mut provider, "b", NOW), Refusal::AuthUnavailable);
    assert!(found(&mut provider, "a", NOW));
    fetches(&mut provider, "b", NOW.plus_ms(MINUTE), Some("b"));
    assert!(found(&mut provider, "b", NOW.plus_ms(MINUTE)));
}

#[test]
fn a_canceled_fetch_does_not_delay_the_next_one() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW, Some("a"));
    assert!(matches!(
        look_up(&mut provider, "forged", NOW),
        KeyLookup::Fetch
    ));
    // The fetch is canceled and never reports a result.
    let soon = NOW.plus_ms(FETCH_MS_MAX - 1);
    assert!(matches!(look_up(&mut provider, "b", soon), KeyLookup::Wait));
    assert!(found(&mut provider, "a", soon));
    fetches(&mut provider, "b", NOW.plus_ms(FETCH_MS_MAX), Some("b"));
    assert!(found(&mut provider, "b", NOW.plus_ms(FETCH_MS_MAX)));
}

#[test]
fn keeps_its_keys_if_the_response_is_not_a_key_set() {
    for response in ["", "{", "null", "[]", "<html>", r#"{"keys":7}"#] {
        let mut provider = IdentityProvider::default();
        fetches(&mut provider, "a", NOW, Some("a"));
        let later = NOW.plus_ms(HOUR);
        assert!(matches!(
            look_up(&mut provider, "a", later),
            KeyLookup::Fetch
        ));
        assert!(
            !provider.fetched(Some(response.into()), later),
            "{response}"
        );
        assert!(found(&mut provider, "a", later), "{response}");
    }
}

#[test]
fn drops_its_keys_if_the_provider_removes_them() {
    for response in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[{"kty":"oct"}]}"#,
    ] {
        let mut provider = IdentityProvider::default();
        fetches(&mut provider, "a", NOW, Some("a"));
        let later = NOW.plus_ms(HOUR);
        assert!(matches!(
            look_up(&mut provider, "a", later),
            KeyLookup::Fetch
        ));
        assert!(
            !provider.fetched(Some(response.into()), later),
            "{response}"
        );
        // The provider may have new keys, so the next lookup fetches again.
        assert!(matches!(
            look_up(&mut provider, "a", later),
            KeyLookup::Fetch
        ));
        assert!(
            !provider.fetched(Some(response.into()), later),
            "{response}"
        );
        assert_eq!(refused(&mut provider, "a", later), NOT_SIGNED);
    }
}

#[test]
fn ignores_times_in_the_future() {
    let mut provider = IdentityProvider::default();
    fetches(&mut provider, "a", NOW.plus_ms(HOUR), Some("a"));
    fetches(&mut provider, "b", NOW.plus_ms(HOUR), Some("a"));
    let shared = provider.share().unwrap();
    fetches(&mut provider, "a", NOW, Some("a"));
    assert!(matches!(look_up(&mut provider, "b", NOW), KeyLookup::Fetch));
    // A shared time in the future delays other isolates by a minute at most.
    let mut other = IdentityProvider::default();
    assert!(other.adopt(&shared, &selector("a"), NOW));
    let minute = NOW.plus_ms(MINUTE);
    assert!(matches!(look_up(&mut other, "b", minute), KeyLookup::Fetch));
}

#[test]
fn adopts_keys_that_another_isolate_fetched() {
    let mut one = IdentityProvider::default();
    fetches(&mut one, "a", NOW, Some("a"));
    let shared = one.share().unwrap();

    let mut other = IdentityProvider::default();
    let later = NOW.plus_ms(HOUR - 1);
    assert!(matches!(look_up(&mut other, "a", later), KeyLookup::Fetch));
    assert!(other.adopt(&shared, &selector("a"), later));
    assert!(found(&mut other, "a", later));
    // Adopted keys keep their age.
    assert!(matches!(
        look_up(&mut other, "a", NOW.plus_ms(HOUR)),
        KeyLookup::Fetch
    ));
    assert!(!other.adopt(&shared, &selector("a"), NOW.plus_ms(HOUR)));
    assert!(other.fetched(Some(set("a")), NOW.plus_ms(HOUR)));
}

#[test]
fn does_not_fetch_for_a_kid_that_another_isolate_did_not_find() {
    let mut one = IdentityProvider::default();
    fetches(&mut one, "a", NOW, Some("a"));
    let before = one.share().unwrap();
    fetches(&mut one, "b", NOW.plus_ms(SECOND), Some("a"));
    let after = one.share().unwrap();

    let mut other = IdentityProvider::default();
    let now = NOW.plus_ms(2 * SECOND);
    assert!(matches!(look_up(&mut other, "c", now), KeyLookup::Fetch));
    assert!(
        !other.adopt(&before, &selector("c"), now),
        "no fetch for an unknown kid yet"
    );
    assert!(other.adopt(&after, &selector("c"), now));
    assert_eq!(refused(&mut other, "c", now), NOT_SIGNED);
    assert!(matches!(
        look_up(&mut other, "c", NOW.plus_ms(MINUTE + SECOND)),
        KeyLookup::Fetch
    ));
}

#[test]
fn does_not_replace_newer_keys_with_shared_older_ones() {
    let mut one = IdentityProvider::default();
    fetches(&mut one, "a", NOW, Some("a"));
    let shared = one.share().unwrap();
    let mut other = IdentityProvider::default();
    fetches(&mut other, "b", NOW.plus_ms(1), Some("b"));
    other.adopt(&shared, &selector("a"), NOW.plus_ms(2));
    assert!(found(&mut other, "b", NOW.plus_ms(2)));
    for garbage in ["", "{}", "null", r#"{"at":1,"sought_at":null,"text":"{}"}"#] {
        assert!(
            !IdentityProvider::default().adopt(garbage, &selector("a"), NOW),
            "{garbage}"
        );
    }
}

/// Looks up the key, asserts that a fetch is required, and reports a set with this key or a failure.
#[track_caller]
fn fetches(provider: &mut IdentityProvider, kid: &str, now: Timestamp, response: Option<&str>) {
    assert!(
        matches!(look_up(provider, kid, now), KeyLookup::Fetch),
        "{kid} was not fetched"
    );
    assert_eq!(provider.fetched(response.map(set), now), response.is_some());
}

fn found(provider: &mut IdentityProvider, kid: &str, now: Timestamp) -> bool {
    matches!(look_up(provider, kid, now), KeyLookup::Found(keys) if keys.len() == 1)
}

#[track_caller]
fn refused(provider: &mut IdentityProvider, kid: &str, now: Timestamp) -> Refusal {
    match look_up(provider, kid, now) {
        KeyLookup::Refused(refusal) => refusal,
        _ => panic!("{kid} was not refused"),
    }
}

fn look_up(provider: &mut IdentityProvider, kid: &str, now: Timestamp) -> KeyLookup {
    provider.look_up(&selector(kid), now)
}

fn selector(kid: &str) -> KeySelector {
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
