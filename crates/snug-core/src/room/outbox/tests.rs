//! Tests of the draft, the limits of the outbox, and the fan-out.

use std::collections::VecDeque;

use crate::{
    Admission, Timestamp, UserId,
    auth::{JoinOptions, token::ClaimedLimits},
    config::RoomRules,
    fan_out::Except,
    link::Via,
    room::{connection::Connection, io::Output, roster::Roster},
};

use super::*;

const ANN: ConnectionId = ConnectionId(1);
const BOB: ConnectionId = ConnectionId(2);
const CHO: ConnectionId = ConnectionId(3);

#[test]
fn a_draft_becomes_one_batch_with_its_keys() {
    let mut outbox = Outbox::default();
    outbox.push_message(at(5), "one", None, None, None);
    outbox.push_message(at(6), "zwei ü", None, Some(key(6)), None);
    assert_eq!(outbox.draft().map(Draft::next), Some(Offset(7)));
    let Taken { batch, texts, .. } = outbox.take_draft(100).unwrap();
    assert_eq!(
        (batch.first, batch.last(), batch.count),
        (Offset(5), Offset(6), 2)
    );
    assert_eq!(batch.time, at(6).time);
    assert_eq!((&*batch.json, batch.bytes_after()), ("one\nzwei ü", 111));
    assert_eq!(batch.keys, [key(6)]);
    assert!(Rc::ptr_eq(&batch.json, &texts.body));
    assert!(outbox.draft().is_none() && outbox.take_draft(100).is_none());
    assert!(!outbox.is_empty(), "the messages still have to be sent");
}

#[test]
fn sends_each_connection_its_lines_in_order_and_shares_equal_texts() {
    let mut outbox = Outbox::default();
    outbox.push_ack(ANN, Some(id(7)), at(1));
    outbox.push_message(at(1), "one", None, None, None);
    outbox.push_line(Audience::one(ANN), "for ann".into());
    outbox.push_message(at(2), "two", None, None, None);
    let body = outbox.take_draft(0).unwrap().texts.body;
    let (frames, sent) = delivered(outbox, body.clone());
    assert_eq!(frames, 3);
    let ack = r#"{"type":"ack","id":7,"offset":1,"time":1001}"#;
    let for_ann: Rc<str> = format!("{ack}\none\nfor ann\ntwo").into();
    assert_eq!(sent, [(vec![ANN], for_ann), (vec![BOB, CHO], body.clone())]);
    assert!(Rc::ptr_eq(&sent[1].1, &body), "shares the stored text");
}

#[test]
fn a_connection_excluded_from_one_line_gets_the_others() {
    let mut outbox = Outbox::default();
    outbox.push_message(at(1), "one", Some(BOB), None, None);
    outbox.push_message(at(2), "two", None, None, None);
    // A command without an id gets no reply.
    outbox.push_ack(CHO, None, at(2));
    let body = outbox.take_draft(0).unwrap().texts.body;
    let (_, sent) = delivered(outbox, body);
    let both = (vec![ANN, CHO], "one\ntwo".into());
    assert_eq!(sent, [(vec![BOB], "two".into()), both]);
}

#[test]
fn drops_unstored_messages_with_their_acks() {
    let mut outbox = Outbox::default();
    outbox.push_ack(ANN, Some(id(1)), at(4).again());
    outbox.push_ack(ANN, Some(id(2)), at(5));
    outbox.push_message(at(5), "one", None, None, None);
    outbox.push_ack(BOB, None, at(6));
    outbox.push_message(at(6), "two", None, None, None);
    outbox.push_ack(CHO, Some(id(3)), at(5).again());
    outbox.push_line(
        Audience::Messages {
            except: Except::default(),
        },
        "signal".into(),
    );
    let _lost = outbox.take_draft(0);
    let unstored = outbox.drop_unstored(Offset(4));
    assert_eq!(
        unstored,
        [(ANN, Some(id(2))), (BOB, None), (CHO, Some(id(3)))]
    );
    let (_, sent) = delivered(outbox, "".into());
    let ack = r#"{"type":"ack","id":1,"offset":4,"time":1004,"duplicate":true}"#;
    let for_ann = format!("{ack}\nsignal").into();
    assert_eq!(
        sent,
        [(vec![ANN], for_ann), (vec![BOB, CHO], "signal".into())]
    );
}

#[test]
fn the_author_gets_copies_of_its_own_and_the_others_share_the_stored_text() {
    let mut outbox = Outbox::default();
    outbox.push_ack(ANN, Some(id(1)), at(1));
    let own = Some((vec![ANN, BOB], "one of mine".into()));
    outbox.push_message(at(1), "one", None, Some(key(1)), own);
    outbox.push_message(at(2), "two", None, None, None);
    let body = outbox.take_draft(0).unwrap().texts.body;
    let (_, sent) = delivered(outbox, body.clone());
    let ack = r#"{"type":"ack","id":1,"offset":1,"time":1001}"#;
    let for_ann: Rc<str> = format!("{ack}\none of mine\ntwo").into();
    let for_bob: Rc<str> = "one of mine\ntwo".into();
    let others = (vec![CHO], body);
    assert_eq!(sent, [(vec![ANN], for_ann), (vec![BOB], for_bob), others]);
}

#[test]
fn drops_the_authors_copies_of_unstored_messages() {
    let mut outbox = Outbox::default();
    let own = Some((vec![ANN], "one of mine".into()));
    outbox.push_message(at(1), "one", None, Some(key(1)), own);
    let _lost = outbox.take_draft(0);
    outbox.drop_unstored(Offset(0));
    assert_eq!(delivered(outbox, "".into()), (0, Vec::new()));
}

#[test]
fn closed_and_unknown_connections_get_no_shared_lines() {
    let mut outbox = Outbox::default();
    let gone = ConnectionId(9);
    outbox.push_line(
        Audience::Messages {
            except: [gone].into_iter().collect(),
        },
        "to all".into(),
    );
    outbox.push_line(Audience::one(gone), "to the gone connection".into());
    let closed = ConnectionId(8);
    outbox.push_line(Audience::one(closed), "goodbye".into());
    assert!(!outbox.is_urgent());
    outbox.close(closed, CloseCode::TooSlow, String::new(), Wire::Lines);
    assert!(outbox.is_urgent());
    let (_, sent) = delivered(outbox, "".into());
    let goodbye = (vec![closed], "goodbye".into());
    assert_eq!(sent, [goodbye, (vec![ANN, BOB, CHO], "to all".into())]);
}

#[test]
fn is_full_at_the_maximum_of_lines_or_bytes() {
    let mut outbox = Outbox::default();
    for _ in 1..FLUSH_LINES {
        outbox.push_ack(ANN, None, at(1));
        assert!(!outbox.is_full(0));
    }
    outbox.push_ack(ANN, None, at(1));
    assert!(outbox.is_full(0));
    let mut outbox = Outbox::default();
    outbox.push_line(
        Audience::Messages {
            except: Except::default(),
        },
        "x".repeat(FLUSH_BYTES - 2).into(),
    );
    outbox.push_message(at(1), "x", None, None, None);
    assert!(!outbox.is_full(0) && !outbox.is_full(1));
    assert!(outbox.is_full(2));
    outbox.reserve(1);
    assert!(outbox.is_full(0));
}

#[test]
fn is_full_before_too_many_connections_need_a_copy() {
    let mut outbox = Outbox::default();
    let copies = FLUSH_COPIES_BYTES.div_ceil(60 * 1024);
    outbox.push_line(
        Audience::Messages {
            except: Except::default(),
        },
        "x".repeat(60 * 1024).into(),
    );
    for number in 1..copies {
        let to = ConnectionId(number as u64);
        // Only the first line for a connection needs a copy.
        outbox.push_ack(to, Some(id(1)), at(1));
        outbox.push_ack(to, Some(id(2)), at(2));
    }
    assert!(!outbox.is_full(0));
    outbox.push_ack(ConnectionId(0), None, at(1));
    assert!(!outbox.is_full(0));
    outbox.push_ack(ConnectionId(0), Some(id(3)), at(3));
    assert!(outbox.is_full(0));
    // An empty outbox accepts a command of any size.
    assert!(!Outbox::default().is_full(usize::MAX));
}

#[test]
fn does_not_copy_long_lines_for_each_addressee() {
    let crowd: Vec<_> = (100..740).map(ConnectionId).collect();
    let mut outbox = Outbox::default();
    let before = "b".repeat(FLUSH_BYTES - 1);
    outbox.push_line(
        Audience::Messages {
            except: Except::default(),
        },
        before.as_str().into(),
    );
    assert!(!outbox.is_full(0));
    let signal = "s".repeat(FLUSH_BYTES);
    outbox.push_line(Audience::these(crowd.clone()), signal.as_str().into());
    assert!(outbox.is_full(0));
    outbox.push_ack(ANN, Some(id(1)), at(1));
    let mut outputs = VecDeque::new();
    let roster = roster(crowd.iter().copied().chain([ANN]));
    outbox.deliver(&Texts::default(), &roster, &mut outputs, |_, _| {});
    let mut received: BTreeMap<ConnectionId, String> = BTreeMap::new();
    let mut texts: Vec<Rc<str>> = Vec::new();
    for output in outputs {
        let Output::Send { to, text } = output else {
            continue;
        };
        for id in to {
            received.entry(id).or_default().push_str(&text);
        }
        if !texts.iter().any(|one| Rc::ptr_eq(one, &text)) {
            texts.push(text);
        }
    }
    assert!(texts.iter().map(|text| text.len()).sum::<usize>() < 3 * FLUSH_BYTES);
    for id in crowd {
        assert!(received[&id] == format!("{before}{signal}"));
    }
    assert!(received[&ANN].starts_with(&format!(r#"{before}{{"type":"ack","id":1"#)));
}

#[test]
fn counts_each_connection_that_does_not_get_a_shared_line() {
    let mut outbox = Outbox::default();
    let line: Rc<str> = "x".repeat(127).into();
    let mut count = 0;
    while !outbox.is_full(0) {
        count += 1;
        let except = [ConnectionId(count)].into_iter().collect();
        outbox.push_line(Audience::Messages { except }, line.clone());
    }
    let copies = (count * count * 127) as usize;
    assert!(
        (FLUSH_COPIES_BYTES..FLUSH_COPIES_BYTES + FLUSH_BYTES).contains(&copies),
        "{copies}"
    );
}

#[test]
fn messages_before_and_after_a_break_arrive_in_order() {
    let mut outbox = Outbox::default();
    let text = "1".repeat(FLUSH_COPIES_BYTES / 2);
    outbox.push_message(at(1), &text, None, None, None);
    outbox.push_line(Audience::these([ANN, BOB]), "signal".into());
    outbox.push_message(at(2), "2", None, None, None);
    let body = outbox.take_draft(0).unwrap().texts.body;
    let (_, sent) = delivered(outbox, body);
    let received = |id| {
        let own = sent.iter().filter(|(to, _)| to.contains(&id));
        own.flat_map(|(_, text)| text.split('\n'))
            .collect::<Vec<_>>()
    };
    for id in [ANN, BOB] {
        assert!(received(id) == [text.as_str(), "signal", "2"]);
    }
    assert!(received(CHO) == [text.as_str(), "2"]);
}

/// Frames with their recipients.
type Sent = Vec<(Vec<ConnectionId>, Rc<str>)>;

/// Delivers the outbox to three connections. Returns the number of frames, and the frames.
fn delivered(outbox: Outbox, body: Rc<str>) -> (usize, Sent) {
    let mut outputs = VecDeque::new();
    let roster = roster([ANN, BOB, CHO]);
    let texts = Texts {
        body,
        changes: Vec::new(),
        mentions: Vec::new(),
    };
    let frames = outbox.deliver(&texts, &roster, &mut outputs, |_, _| {});
    let sends = outputs.into_iter().filter_map(|output| match output {
        Output::Send { to, text } => Some((to, text)),
        _ => None,
    });
    (frames, sends.collect())
}

fn roster(ids: impl IntoIterator<Item = ConnectionId>) -> Roster {
    let (mut roster, rules) = (Roster::default(), RoomRules::by_default());
    for id in ids {
        roster.add(connection(id), None, &rules);
    }
    roster
}

fn at(offset: u64) -> Stored {
    Stored::new(Offset(offset), Timestamp(1_000).plus_ms(offset))
}

fn id(number: u64) -> CommandId {
    CommandId::Number(number)
}

fn key(offset: u64) -> StoredKey {
    StoredKey {
        user: UserId::parse("ann").unwrap(),
        key: "k".into(),
        stored: at(offset),
    }
}

fn connection(id: ConnectionId) -> Connection {
    let admission = Admission {
        user: UserId::parse("ann").unwrap(),
        info: None,
        can: crate::Capabilities::default_grant(),
        expires: Timestamp(0),
        issued: Timestamp::default(),
        limits: ClaimedLimits::default(),
        options: JoinOptions {
            lines: true,
            echo: true,
            presence: true,
            resume: None,
            last: None,
            mode: Default::default(),
        },
        origin: None,
    };
    let rules = RoomRules::by_default();
    Connection::new(
        id,
        Via::Socket,
        admission,
        Timestamp(0),
        &rules,
        Timestamp(0),
    )
}
