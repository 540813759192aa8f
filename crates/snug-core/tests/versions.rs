//! Tests that the versions before and after can read what the Worker sends to a room's object.
//!
//! After a deployment, a Worker of one version talks to objects of another for up to five minutes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};
use snug_core::{Admission, ApiRequest};

/// Join requests in the forms of earlier versions of the Worker, newest first. Never change one; when the
/// form changes, add the one before.
const ADMISSIONS: [&str; 2] = [
    r#"{"user":"ann","info":{"name":"安"},"can":["receive","publish"],"expires":1800000000000,"limits":{"messages_per_second":5,"message_bytes":null},"options":{"lines":true,"echo":false,"presence":true,"resume":{"epoch":"e1","offset":7},"last":null}}"#,
    r#"{"user":"ann","info":null,"can":[],"expires":1800000000000,"limits":{"messages_per_second":null,"message_bytes":null},"options":{"lines":false,"echo":true,"presence":false,"resume":null,"last":20}}"#,
];

/// API requests in the form of earlier versions of the Worker, one for each operation.
const API_REQUESTS: [&str; 7] = [
    r#"{"caller":{"user":"app","can":["serve"],"limits":{"messages_per_second":null,"message_bytes":100}},"operation":"Publish"}"#,
    r#"{"caller":{"user":"app","can":["history"],"limits":{"messages_per_second":null,"message_bytes":null}},"operation":{"Messages":{"from":{"Before":9007199254740991},"limit":50,"bytes_max":1048576}}}"#,
    r#"{"caller":{"user":"app","can":["presence"],"limits":{"messages_per_second":null,"message_bytes":null}},"operation":"Members"}"#,
    r#"{"caller":{"user":"app","can":["moderate"],"limits":{"messages_per_second":null,"message_bytes":null}},"operation":{"Kick":{"user":"bob","reason":"spam","ban_seconds":60}}}"#,
    r#"{"caller":{"user":"app","can":["serve"],"limits":{"messages_per_second":null,"message_bytes":null}},"operation":"Describe"}"#,
    r#"{"caller":{"user":"app","can":["serve"],"limits":{"messages_per_second":null,"message_bytes":null}},"operation":"Erase"}"#,
    r#"{"caller":{"user":"app","can":["serve"],"limits":{"messages_per_second":null,"message_bytes":null}},"operation":{"DeadEvents":{"after":0,"limit":50}}}"#,
];

#[test]
fn reads_the_join_requests_of_earlier_versions_and_writes_what_they_read() {
    for text in ADMISSIONS {
        let admission: Admission = serde_json::from_str(text).unwrap();
        holds(&serde_json::to_value(&admission).unwrap(), text);
    }
}

#[test]
fn reads_the_api_requests_of_earlier_versions_and_writes_what_they_read() {
    for text in API_REQUESTS {
        let request: ApiRequest = serde_json::from_str(text).unwrap();
        holds(&serde_json::to_value(&request).unwrap(), text);
    }
}

#[test]
fn ignores_what_a_later_version_adds() {
    for text in ADMISSIONS {
        let mut later: Value = serde_json::from_str(text).unwrap();
        later["later"] = json!([1]);
        later["can"] = json!(["receive", "a_later_capability"]);
        later["options"]["later"] = json!(true);
        serde_json::from_value::<Admission>(later).unwrap();
    }
}

/// Asserts that everything that an earlier version wrote is still written.
#[track_caller]
fn holds(written: &Value, earlier: &str) {
    let earlier: Value = serde_json::from_str(earlier).unwrap();
    let mut merged = written.clone();
    merge(&mut merged, &earlier);
    assert_eq!(&merged, written);
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
