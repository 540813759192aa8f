//! Frames that no well-meaning client sends.

use serde_json::{Value, json};

use crate::driver::{Visitor, scenario};

#[test]
fn a_bad_frame_is_told_to_its_sender_and_costs_nothing_else() {
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
            room.skips_to_now();
            for (frame, code) in some {
                room.sends_text(ann, frame);
                let error = room.hears(ann, json!({ "type": "error", "retryable": false }));
                assert_eq!(error["code"], *code, "{frame:.80}");
                room.hears_nothing(ann);
            }
            room.hears_nothing(bob);
            room.says(ann, "still here");
            room.hears_message(bob, "still here");
            assert_eq!(room.stored_count(), 1);
        });
    }
}

#[test]
fn an_error_names_the_commands_id_where_one_can_be_read() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
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
            let error = room.hears(ann, json!({ "type": "error" }));
            assert_eq!(error.get("id").cloned().unwrap_or_default(), id, "{frame}");
        }
    });
}

#[test]
fn each_empty_line_is_an_error_of_its_own() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends_text(ann, "\n\n{\"type\":\"ping\"}\n");
        for _ in 0..2 {
            room.hears(ann, json!({ "type": "error", "code": "bad_json" }));
        }
        room.hears(ann, json!({ "type": "pong" }));
        room.hears_nothing(ann);
    });
}

#[test]
fn a_frame_of_nothing_but_line_breaks_ends_at_the_twentieth_error() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends_text(ann, &"\n".repeat(100_000));
        let heard = room.heard(ann);
        assert_eq!(heard.len(), 21);
        assert_eq!(heard[20]["code"], 4103);
    });
}

#[test]
fn commands_after_the_closing_error_are_dropped() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        let mut frame = vec![json!({ "type": "dance" }); 20];
        frame.push(json!({ "type": "publish", "id": 1, "data": "too late" }));
        frame.push(json!({ "type": "ping" }));
        room.sends_lines(ann, &frame);
        assert_eq!(room.heard(ann).len(), 21);
        room.hears(bob, json!({ "type": "presence", "leaves": ["ann"] }));
        room.hears_nothing(bob);
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn commands_after_one_that_is_too_large_are_dropped() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").with_message_bytes(64));
        room.skips_to_now();
        let large = json!({ "type": "publish", "data": "x".repeat(64) });
        room.sends_lines(ann, &[large, json!({ "type": "ping" })]);
        room.hears(ann, json!({ "code": "too_large" }));
        room.hears_close(ann, 1009, "message_too_big");
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn frames_that_come_after_a_close_are_not_heard() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let cho = room.join("cho");
        room.skips_to_now();
        room.sends_bytes(ann);
        room.leaves(cho);
        room.skips_to_now();
        for gone in [ann, cho] {
            room.says(gone, "ghost");
            room.sends_bytes(gone);
            room.hears_nothing(gone);
        }
        room.hears_nothing(bob);
    });
}

#[test]
fn a_binary_frame_closes() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends_bytes(ann);
        room.hears_close(ann, 1003, "unsupported_data");
        room.hears_nothing(bob);
        room.pass_ms(5_000);
        room.hears(bob, json!({ "leaves": ["ann"] }));
    });
}

/// The driver sees to it that every frame is one line; this gives it something to look at.
#[test]
fn line_breaks_inside_a_command_never_break_a_line() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").plain());
        let bob = room.join("bob");
        room.skips_to_now();
        let data = "{\n\"a\":\r\n[1,\r2],\"b\":\"\\n\"}";
        room.sends_text(
            ann,
            &format!("\n{{\"type\":\n\"publish\",\"data\":{data}}}\n"),
        );
        let value = json!({ "a": [1, 2], "b": "\n" });
        room.hears_message(ann, value.clone());
        room.hears_message(bob, value.clone());
        room.sends_text(ann, &format!("{{\"type\":\"signal\",\"data\":{data}}}"));
        room.hears(bob, json!({ "type": "signal", "data": value }));
        room.sends_text(ann, &format!("{{\"type\":\"state\",\"data\":{data}}}"));
        room.hears(bob, json!({ "updates": [{ "state": value }] }));
        room.sends_text(ann, "{\"type\":\"publish\",\"event\":\"a\\nb\",\"data\":1}");
        room.hears(bob, json!({ "event": "a\nb", "data": 1 }));
        room.sends(bob, json!({ "type": "history", "id": "a\nb" }));
        room.hears(
            bob,
            json!({ "id": "a\nb", "messages": [{ "data": value }, {}] }),
        );
    });
}

#[test]
fn a_plain_socket_sends_one_command_a_frame() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").plain());
        room.skips_to_now();
        room.sends_text(ann, "{\"type\":\"ping\"}\n{\"type\":\"ping\"}");
        room.hears(ann, json!({ "type": "error", "code": "bad_json" }));
        room.hears_nothing(ann);
    });
}

#[test]
fn names_that_trip_others_up_pass_as_they_are() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        let data = r#"{"__proto__":{"a":1},"constructor":1,"toString":null}"#;
        room.sends_text(ann, &format!(r#"{{"type":"publish","data":{data}}}"#));
        assert!(room.last_frame(bob).contains(data));
        room.sends_text(ann, &format!(r#"{{"type":"state","data":{data}}}"#));
        assert!(room.last_frame(bob).contains(data));
        let unknown = r#"{"type":"signal","data":1,"__proto__":{"to":[]},"user":"bob","offset":9}"#;
        room.skips_to_now();
        room.sends_text(ann, unknown);
        let signal = room.hears(bob, json!({ "type": "signal", "user": "ann", "data": 1 }));
        assert_eq!(signal.as_object().unwrap().len(), 4);
    });
}

#[test]
fn a_state_that_is_too_large_is_refused_and_the_old_one_stays() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "n": 1 } }));
        room.skips_to_now();
        let large = json!({ "n": "x".repeat(2_048) });
        room.sends(ann, json!({ "type": "state", "id": 1, "data": large }));
        room.hears(
            ann,
            json!({ "type": "error", "id": 1, "code": "too_large" }),
        );
        room.hears_nothing(bob);
        room.sends(bob, json!({ "type": "members" }));
        room.hears(
            bob,
            json!({ "members": [{ "state": { ann.id(): { "n": 1 } } }, {}] }),
        );
    });
}
