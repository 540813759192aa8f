//! Malformed and hostile frames.

use serde_json::{Value, json};

use crate::driver::{TestUser, scenario};

#[test]
fn a_bad_frame_only_causes_an_error_to_its_sender() {
    let deep = |most: usize| {
        let (open, close) = ("[".repeat(most), "]".repeat(most));
        format!(r#"{{"type":"publish","data":{open}{close}}}"#)
    };
    let (too_deep, much_too_deep) = (deep(64), deep(30_000));
    let half_deep = format!(r#"{{"type":"publish","data":{}"#, r#"{"a":"#.repeat(10_000));
    let frames = [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("nonsense", "bad_json"),
        ("{\"type\":\"publish\",\"data\":\"\u{0}\"}", "bad_json"),
        (r#"{"type":"publish","data":01}"#, "bad_json"),
        (r#"{"type":"publish","data":NaN}"#, "bad_json"),
        (r#"{"type":"publish","data":1}}"#, "bad_json"),
        (r#"{"type":"publish","data":"\x"}"#, "bad_json"),
        ("\u{feff}{\"type\":\"ping\"}", "bad_json"),
        (&too_deep, "bad_json"),
        (&much_too_deep, "bad_json"),
        (&half_deep, "bad_json"),
        ("null", "bad_command"),
        ("[]", "bad_command"),
        (r#"[{"type":"publish","data":1}]"#, "bad_command"),
        ("{}", "bad_command"),
        (r#"{"type":null,"data":1}"#, "bad_command"),
        (r#"{"type":["publish"],"data":1}"#, "bad_command"),
        (r#"{"type":"publish"}"#, "bad_command"),
    ];
    let more_frames = [
        (r#"{"type":"publish","data":1,"event":7}"#, "bad_command"),
        (r#"{"type":"publish","data":1,"id":-1}"#, "bad_command"),
        (r#"{"type":"publish","data":1,"id":1e300}"#, "bad_command"),
        (r#"{"type":"signal","data":1,"to":"bob"}"#, "bad_command"),
        (r#"{"type":"signal","data":1,"to":[7]}"#, "bad_command"),
        (r#"{"type":"state","data":[]}"#, "bad_command"),
        (r#"{"type":"state","data":"{}"}"#, "bad_command"),
        (r#"{"type":"history","limit":0}"#, "bad_command"),
        (r#"{"type":"history","limit":-1}"#, "bad_command"),
        (r#"{"type":"history","after":"1"}"#, "bad_command"),
        (
            r#"{"type":"history","before":9007199254740992}"#,
            "bad_command",
        ),
        (r#"{"type":"PUBLISH","data":1}"#, "unknown_command"),
        (r#"{"type":"welcome"}"#, "unknown_command"),
        (r#"{"type":"__proto__"}"#, "unknown_command"),
        (r#"{"type":""}"#, "unknown_command"),
    ];
    for some in [&frames[..], &more_frames[..]] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            for (frame, code) in some {
                room.sends_text(ann, frame);
                let error = room.receives(ann, json!({ "type": "error", "retryable": false }));
                assert_eq!(error["code"], *code, "{frame:.80}");
                room.receives_nothing(ann);
            }
            room.receives_nothing(bob);
            room.publishes(ann, "still here");
            room.receives_message(bob, "still here");
            assert_eq!(room.stored_count(), 1);
        });
    }
}

#[test]
fn an_error_has_the_commands_id_if_it_is_valid() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        for (frame, id) in [
            (r#"{"id":5,"type":7}"#, json!(5)),
            (r#"{"id":"x","type":"publish"}"#, json!("x")),
            (
                r#"{"id":9007199254740991,"type":"dance"}"#,
                json!(9_007_199_254_740_991_u64),
            ),
            (r#"{"id":9007199254740992,"type":"dance"}"#, Value::Null),
            (r#"{"id":{},"type":"dance"}"#, Value::Null),
            (r#"{"id":5,"type":"#, Value::Null),
        ] {
            room.sends_text(ann, frame);
            let error = room.receives(ann, json!({ "type": "error" }));
            assert_eq!(error.get("id").cloned().unwrap_or_default(), id, "{frame}");
        }
    });
}

#[test]
fn each_empty_line_is_a_separate_error() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends_text(ann, "\n\n{\"type\":\"ping\"}\n");
        for _ in 0..2 {
            room.receives(ann, json!({ "type": "error", "code": "bad_json" }));
        }
        room.receives(ann, json!({ "type": "pong" }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_frame_of_line_breaks_closes_at_the_twentieth_error() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends_text(ann, &"\n".repeat(100_000));
        let received = room.received(ann);
        assert_eq!(received.len(), 21);
        assert_eq!(received[20]["code"], 4103);
    });
}

#[test]
fn commands_after_the_closing_error_are_dropped() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let mut frame = vec![json!({ "type": "dance" }); 20];
        frame.push(json!({ "type": "publish", "id": 1, "data": "too late" }));
        frame.push(json!({ "type": "ping" }));
        room.sends_lines(ann, &frame);
        assert_eq!(room.received(ann).len(), 21);
        room.receives(bob, json!({ "type": "presence", "leaves": ["ann"] }));
        room.receives_nothing(bob);
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn commands_after_one_that_is_too_large_are_dropped() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_message_bytes(64));
        room.skips_received();
        let large = json!({ "type": "publish", "data": "x".repeat(64) });
        room.sends_lines(ann, &[large, json!({ "type": "ping" })]);
        room.receives(ann, json!({ "code": "too_large" }));
        room.receives_close(ann, 1009, "message_too_big");
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn frames_after_a_close_are_ignored() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let cho = room.join("cho");
        room.skips_received();
        room.sends_binary(ann);
        room.leaves(cho);
        room.skips_received();
        for gone in [ann, cho] {
            room.publishes(gone, "ghost");
            room.sends_binary(gone);
            room.sends_too_long(gone);
            room.receives_nothing(gone);
        }
        room.receives_nothing(bob);
    });
}

#[test]
fn a_binary_frame_closes_the_connection() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends_binary(ann);
        room.receives_close(ann, 1003, "unsupported_data");
        room.receives_nothing(bob);
        room.pass_ms(5_000);
        room.receives(bob, json!({ "leaves": ["ann"] }));
    });
}

/// The driver checks that every line of a frame is JSON, so this only sends line breaks.
#[test]
fn line_breaks_in_a_command_never_split_a_line() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").plain());
        let bob = room.join("bob");
        room.skips_received();
        let data = "{\n\"a\":\r\n[1,\r2],\"b\":\"\\n\"}";
        room.sends_text(
            ann,
            &format!("\n{{\"type\":\n\"publish\",\"data\":{data}}}\n"),
        );
        let value = json!({ "a": [1, 2], "b": "\n" });
        room.receives_message(ann, value.clone());
        room.receives_message(bob, value.clone());
        room.sends_text(ann, &format!("{{\"type\":\"signal\",\"data\":{data}}}"));
        room.receives(bob, json!({ "type": "signal", "data": value }));
        room.sends_text(ann, &format!("{{\"type\":\"state\",\"data\":{data}}}"));
        room.receives(bob, json!({ "updates": [{ "state": value }] }));
        room.sends_text(ann, "{\"type\":\"publish\",\"event\":\"a\\nb\",\"data\":1}");
        room.receives(bob, json!({ "event": "a\nb", "data": 1 }));
        room.sends(bob, json!({ "type": "history", "id": "a\nb" }));
        room.receives(
            bob,
            json!({ "id": "a\nb", "messages": [{ "data": value }, {}] }),
        );
    });
}

#[test]
fn a_plain_socket_sends_one_command_per_frame() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").plain());
        room.skips_received();
        room.sends_text(ann, "{\"type\":\"ping\"}\n{\"type\":\"ping\"}");
        room.receives(ann, json!({ "type": "error", "code": "bad_json" }));
        room.receives_nothing(ann);
    });
}

#[test]
fn special_property_names_pass_unchanged() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let data = r#"{"__proto__":{"a":1},"constructor":1,"toString":null}"#;
        room.sends_text(ann, &format!(r#"{{"type":"publish","data":{data}}}"#));
        assert!(room.last_frame(bob).contains(data));
        room.sends_text(ann, &format!(r#"{{"type":"state","data":{data}}}"#));
        assert!(room.last_frame(bob).contains(data));
        let unknown = r#"{"type":"signal","data":1,"__proto__":{"to":[]},"user":"bob","offset":9}"#;
        room.skips_received();
        room.sends_text(ann, unknown);
        let signal = room.receives(bob, json!({ "type": "signal", "user": "ann", "data": 1 }));
        assert_eq!(signal.as_object().unwrap().len(), 4);
    });
}

#[test]
fn a_state_that_is_too_large_is_rejected_and_the_old_one_stays() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "n": 1 } }));
        room.skips_received();
        let large = json!({ "n": "x".repeat(2_048) });
        room.sends(ann, json!({ "type": "state", "id": 1, "data": large }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "too_large" }),
        );
        room.receives_nothing(bob);
        room.sends(bob, json!({ "type": "members" }));
        room.receives(
            bob,
            json!({ "members": [{ "state": { ann.id(): { "n": 1 } } }, {}] }),
        );
    });
}
