//! Checks the core against `tests/vectors`, which has one example of every message of the protocol.
//! The TypeScript tests read them too, and PROTOCOL.md shows each of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    rc::Rc,
};

use serde_json::{Value, value::RawValue};
use snug_core::{
    ApiResponse, Capabilities, Capability, CloseCode, ConnectionId, Epoch, ErrorCode, Offset,
    Origin, Reference, Refusal, Reply, RoomName, Timestamp, UserId,
    auth::session_cookie::SessionRequest,
    backend::{
        api::read_messages,
        publish_hook::{self, Decision, ProposedMessage},
        webhook::{Delivery, Event, EventKind, EventRow, Lines},
    },
    limits::{PAGE_BYTES_MAX, ROOMS_PER_SESSION_MAX},
    log::{LogLine, Requester},
    protocol::{
        change::{ActionKind, Change, ChangeAction},
        command::{Command, CommandId},
        page::{PageRequest, PageStart, ThreadRequest},
        push::{
            self, Badge, ConnectionLimits, Hello, Member, Message, PING, PONG, PresenceChange,
            Push, StateChange, Stored, Welcome, WelcomeToConnection, reply_line, with_room,
        },
        reaction::{Reaction, Summary},
    },
    reply::{HistoryPage, MemberList, RoomStatus, WebhookCounts},
    secret::Secret,
    storage::{
        changed::{Aspect, ChangedMessage, MessageChanges},
        entry::StoredEntry,
    },
};

#[test]
fn every_vector_is_used_by_a_test() {
    let names: BTreeSet<_> = vectors().into_keys().collect();
    let (commands, sent) = (commands(), sent());
    // The commands of a session are in tests/gateway.
    let read_apart = [
        "http_publish_request",
        "publish_hook_response",
        "command_join",
        "command_join_badge",
        "command_leave",
    ];
    let known = commands.keys().chain(sent.keys()).chain(&read_apart);
    assert_eq!(names, known.map(|name| name.to_string()).collect());
}

#[test]
fn command_vectors_parse_to_their_commands() {
    let vectors = vectors();
    for (name, (id, expected)) in commands() {
        let line = vectors[name].to_string();
        let (read_id, command) = Command::parse(&line).unwrap();
        assert_eq!(read_id, id, "{name}");
        // Raw JSON cannot be compared; its debug text can.
        assert_eq!(format!("{command:?}"), format!("{expected:?}"), "{name}");
    }
}

#[test]
fn the_publish_request_vector_parses_to_its_message() {
    let body = vectors()["http_publish_request"].to_string();
    let [message] = &read_messages(&body, 1_000).unwrap()[..] else {
        panic!("{body}")
    };
    assert_eq!(
        message.data.map(RawValue::get),
        Some(r#"{"text":"Version 7 is out"}"#)
    );
    assert_eq!(message.event.as_deref(), Some("news"));
    assert_eq!(message.key.as_deref(), Some("release-7"));
    assert_eq!(message.user, Some(user("bot")));
}

#[test]
fn messages_of_the_server_serialize_to_their_vectors() {
    let vectors = vectors();
    for (name, written) in sent() {
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written, vectors[name], "{name}");
    }
}

#[test]
fn the_hook_response_vector_parses_to_its_decisions() {
    let response = vectors()["publish_hook_response"].to_string();
    let decisions = hook_request()
        .read_response(200, response.as_bytes())
        .unwrap();
    let [
        Decision::Allow,
        Decision::Replace(data),
        Decision::Refuse(Some(reason)),
    ] = decisions.as_slice()
    else {
        panic!("{decisions:?}");
    };
    assert_eq!(data.get(), r#"{"text":"D…, Ann!"}"#);
    assert_eq!(reason, "no links, please");
}

#[test]
fn the_runtimes_ping_and_pong_equal_their_vectors() {
    let vectors = vectors();
    assert_eq!(vectors["command_ping"].to_string(), PING);
    assert_eq!(vectors["reply_pong"].to_string(), PONG);
}

#[test]
fn the_protocol_document_shows_exactly_the_vectors() {
    let text = fs::read_to_string(top().join("PROTOCOL.md")).expect("PROTOCOL.md");
    let mut vectors = vectors();
    let all = vectors.clone();
    for block in json_blocks(&text) {
        let shown: Value =
            serde_json::from_str(&block).unwrap_or_else(|error| panic!("{error}:\n{block}"));
        let name = all.iter().find(|(_, vector)| **vector == shown);
        let (name, _) = name.unwrap_or_else(|| panic!("no vector is:\n{block}"));
        vectors.remove(name);
    }
    let missing: Vec<_> = vectors.keys().collect();
    assert!(missing.is_empty(), "PROTOCOL.md does not show {missing:?}");
}

const START: Timestamp = Timestamp(1_800_000_000_000);
const ANN_DESKTOP: ConnectionId = ConnectionId(0x3f1c_8a5e_90b7_d246);
const ANN_PHONE: ConnectionId = ConnectionId(0xa07b_e21c_44f9_630d);
const BOB: ConnectionId = ConnectionId(0x5d20_c9f7_e81a_b364);

type Named<T> = BTreeMap<&'static str, T>;

fn commands() -> Named<(Option<CommandId>, Command<'static>)> {
    let number = |id| Some(CommandId::Number(id));
    [
        (
            "command_publish",
            number(7),
            Command::Publish {
                data: raw(r#"{"text":"你好 👋"}"#),
                event: Some("chat".into()),
                key: Some("d1f0c2".into()),
                re: None,
                mentions: Vec::new(),
            },
        ),
        (
            "command_publish_reply",
            number(22),
            Command::Publish {
                data: raw(r#"{"text":"How are you?"}"#),
                event: None,
                key: None,
                re: Some(Offset(41)),
                mentions: vec![user("ann")],
            },
        ),
        (
            "command_history_thread",
            number(23),
            Command::Thread(ThreadRequest {
                root: Offset(41),
                page: PageRequest::read(None, None, Some(20)).unwrap(),
            }),
        ),
        (
            "command_edit",
            number(17),
            Command::Change(Change {
                of: Offset(41),
                action: ChangeAction::Edit(Cow::Borrowed(raw(r#"{"text":"你好, all 👋"}"#))),
                if_version: Some(1),
                key: None,
            }),
        ),
        (
            "command_append",
            number(18),
            Command::Change(Change {
                of: Offset(42),
                action: ChangeAction::Append(" How are you?".into()),
                if_version: None,
                key: Some("d1f0c3".into()),
            }),
        ),
        (
            "command_delete",
            number(19),
            Command::Change(Change {
                of: Offset(43),
                action: ChangeAction::Delete {
                    reason: Some("spam".into()),
                },
                if_version: None,
                key: None,
            }),
        ),
        (
            "command_read",
            number(24),
            Command::Read { offset: Offset(57) },
        ),
        (
            "command_react",
            number(20),
            Command::React(Reaction {
                of: Offset(41),
                name: "👍".into(),
                is_on: true,
            }),
        ),
        (
            "command_unreact",
            number(21),
            Command::React(Reaction {
                of: Offset(41),
                name: "👍".into(),
                is_on: false,
            }),
        ),
        (
            "command_signal",
            number(8),
            Command::Signal {
                data: raw(r#"{"typing":true}"#),
                event: Some("typing".into()),
                to: Some(vec![user("bob")]),
            },
        ),
        (
            "command_state",
            number(9),
            Command::State {
                data: raw(r#"{"cursor":[120,48]}"#),
            },
        ),
        ("command_members", number(10), Command::Members),
        (
            "command_history",
            number(11),
            Command::History(PageRequest {
                from: PageStart::Before(Offset(43)),
                limit: 2,
                bytes_max: PAGE_BYTES_MAX,
            }),
        ),
        (
            "command_refresh",
            number(13),
            Command::Refresh {
                token: Secret("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl".into()),
            },
        ),
        (
            "command_kick",
            number(12),
            Command::Kick {
                user: user("cho"),
                reason: Some("no spam, please".into()),
                ban_seconds: Some(3600),
            },
        ),
        ("command_ping", None, Command::Ping),
    ]
    .into_iter()
    .map(|(name, id, command)| (name, (id, command)))
    .collect()
}

/// Returns the body of a webhook about a member's stay.
fn webhook_body(room: &RoomName, message: &str) -> String {
    let ann = user("ann");
    let event = |kind, ms, user, info| {
        let time = START.plus_ms(ms);
        Event {
            kind,
            time,
            user,
            info,
        }
        .to_line()
    };
    let info = raw(r##"{"name":"Ann","color":"#c0392b"}"##);
    let joined = [
        event(EventKind::RoomOccupied, 0, None, None),
        event(EventKind::MemberJoined, 0, Some(&ann), Some(info)),
    ];
    let mut delivery = Delivery::new("5b0e6f0c8d2a4c11".into(), 0);
    for (first, lines) in [
        (START.0 + 1, Lines::Events(joined.join("\n").into())),
        (
            START.0 + 3,
            Lines::Messages {
                epoch: Epoch::new("8c1d5ab0"),
                pushes: message.into(),
            },
        ),
        (
            START.0 + 4,
            Lines::Events(event(EventKind::MemberLeft, 5500, Some(&ann), None).into()),
        ),
    ] {
        delivery.take(&EventRow {
            first,
            count: 1,
            time: START,
            bytes_before: 0,
            lines,
        });
    }
    delivery.body(room, "2027-01-15T08:00:06.000Z")
}

/// Returns the messages that the server sends, by vector, as it serializes them.
fn sent() -> Named<String> {
    let (ann, bob) = (user("ann"), user("bob"));
    let room = RoomName::parse("team:7:general").unwrap();
    let epoch = Epoch::new("8c1d5ab0");
    let members = [
        Member {
            user: &ann,
            info: raw(r##"{"name":"Ann","color":"#c0392b"}"##),
            since: START,
            connections: 2,
            state: [
                (ANN_DESKTOP, raw(r#"{"typing":false}"#)),
                (ANN_PHONE, raw(r#"{"cursor":[120,48]}"#)),
            ]
            .into(),
        },
        Member {
            user: &bob,
            info: raw(r#"{"name":"小博"}"#),
            since: START.plus_ms(4200),
            connections: 1,
            state: BTreeMap::new(),
        },
    ]
    .map(|member| Rc::from(member.to_json()));
    let message = |key| {
        Push::Message(Message {
            offset: Offset(41),
            time: START.plus_ms(5000),
            user: &ann,
            connection: Some(ANN_DESKTOP),
            info: Some(raw(r##"{"name":"Ann","color":"#c0392b"}"##)),
            event: Some("chat"),
            re: None,
            mentions: &[],
            key,
            data: raw(r#"{"text":"你好 👋"}"#),
        })
        .to_line()
    };
    let id = CommandId::Number;
    let stored = Stored::new(Offset(41), START.plus_ms(5000));
    let published = |stored| Reply::Published {
        epoch: epoch.clone(),
        messages: vec![stored],
    };
    let reply = |number, reply: &Reply| reply_line(Some(&id(number)), reply).expect("a reply");
    let closing = CloseCode::PingTimeout;
    let cho = user("cho");
    let changed_at = START.plus_ms(9000);
    let change = |offset, of, action, user| push::Change {
        offset: Offset(offset),
        time: changed_at,
        of: Offset(of),
        version: 2,
        action,
        user,
        connection: None,
        reason: None,
        text: None,
        data: None,
    };
    let edit = Push::Change(push::Change {
        connection: Some(ANN_DESKTOP),
        data: Some(raw(r#"{"text":"你好, all 👋"}"#)),
        ..change(57, 41, ActionKind::Edit, &ann)
    })
    .to_line();
    let append = push::Change {
        connection: Some(BOB),
        text: Some(" How are you?"),
        ..change(58, 42, ActionKind::Append, &bob)
    };
    let delete = Push::Change(push::Change {
        reason: Some("spam"),
        ..change(59, 43, ActionKind::Delete, &cho)
    })
    .to_line();
    let now = |message, last, change: &Rc<str>, row: &str| {
        let is_reactions = change.starts_with(r#"{"type":"reactions""#);
        let changed = ChangedMessage {
            message: Offset(message),
            aspect: if is_reactions {
                Aspect::Reactions
            } else {
                Aspect::Content
            },
            last: Offset(last),
            change: change.clone(),
        };
        let row = StoredEntry::new(row.into());
        let changes = MessageChanges::from_iter([changed]);
        changes.apply_to(&row).push().clone()
    };
    let reactions = |offset, of, name, users: &[&str]| {
        let mut summary = Summary::default();
        for one in users {
            summary.add(name, &user(one));
        }
        Push::Reactions(push::Reactions {
            offset: Offset(offset),
            of: Offset(of),
            summary: &summary,
        })
        .to_line()
    };
    let hi = r#"{"type":"message","offset":42,"time":1800000006150,"user":"bob","data":{"text":"Hi Ann!"}}"#;
    let deleted = r#"{"type":"message","offset":43,"time":1800000007000,"user":"cho"}"#;
    let changed = Stored {
        version: Some(2),
        ..Stored::new(Offset(57), changed_at)
    };
    let changed = Reply::Changed {
        epoch: epoch.clone(),
        change: changed,
    };
    let conflict = Push::Error {
        id: Some(&id(17)),
        code: ErrorCode::Conflict.name(),
        message: "the message has another version than 'if_version'",
        retryable: false,
        retry_after_ms: None,
        version: Some(2),
    };
    let pushes = [
        (
            "push_message_changed",
            now(41, 57, &edit, &message(None)),
        ),
        (
            "push_message_deleted",
            now(43, 59, &delete, deleted),
        ),
        (
            "push_read",
            Push::Read {
                user: &ann,
                offset: Offset(57),
            }
            .to_line(),
        ),
        ("push_reactions", reactions(60, 41, "👍", &["ann", "bob", "cho"])),
        (
            "push_message_reactions",
            now(42, 61, &reactions(61, 42, "👋", &["ann"]), hi),
        ),
        (
            "push_message_reply",
            Push::Message(Message {
                offset: Offset(63),
                time: changed_at,
                user: &user("bob"),
                connection: Some(BOB),
                info: Some(raw(r#"{"name":"小博"}"#)),
                event: None,
                re: Some(Offset(41)),
                mentions: &[user("ann")],
                key: None,
                data: raw(r#"{"text":"How are you?"}"#),
            })
            .to_line(),
        ),
        (
            "push_change_replies",
            Push::Replies(push::Replies {
                offset: Offset(64),
                time: changed_at,
                of: Offset(41),
                action: push::Replies::ACTION,
                count: push::ReplyCount {
                    replies: 4,
                    last_reply: Offset(63),
                },
            })
            .to_line(),
        ),
        ("push_change", edit),
        ("push_change_append", Push::Change(append).to_line()),
        ("push_change_delete", delete),
        (
            "push_change_superseded",
            StoredEntry::bare_change(Offset(57), Offset(41)).into(),
        ),
        ("reply_ack_changed", reply(17, &changed)),
        ("push_error_conflict", conflict.to_line()),
        ("http_change_response", ApiResponse::from(&changed).body),
        (
            "http_user_messages_response",
            ApiResponse::from(&Reply::History(HistoryPage {
                epoch: Some(epoch.clone()),
                messages: vec![StoredEntry::new(
                    r#"{"type":"message","offset":4121,"time":1800000005000,"user":"ann","data":{"text":"你好 👋"}}"#
                        .into(),
                )],
                more: true,
                cursor: Some(Offset(3012)),
            }))
            .body,
        ),
        (
            "http_deletion_response",
            ApiResponse::from(&Reply::Deleted {
                epoch: Some(epoch.clone()),
                deleted: 100,
                cursor: Some(Offset(4120)),
            })
            .body,
        ),
        (
            "reply_ack",
            reply(8, &Reply::Done),
        ),
        (
            "reply_ack_stored",
            reply(7, &published(stored)),
        ),
        (
            "reply_ack_refreshed",
            reply(
                13,
                &Reply::Refreshed {
                    expires: START.plus_ms(7_200_000),
                },
            ),
        ),
        (
            "reply_ack_kicked",
            reply(12, &Reply::Closed { closed: 2 }),
        ),
        (
            "reply_members",
            reply(10, &Reply::Members(MemberList::new(members.to_vec(), 2))),
        ),
        (
            "reply_ack_read",
            reply(24, &Reply::Read { read: Offset(57) }),
        ),
        (
            "reply_ack_duplicate",
            reply(7, &published(stored.again())),
        ),
        (
            "reply_history",
            reply(
                11,
                &Reply::History(HistoryPage {
                    epoch: Some(epoch.clone()),
                    messages: vec![
                        StoredEntry::new(message(None)),
                        StoredEntry::new(
                            r#"{"type":"message","offset":42,"time":1800000006150,"user":"bob","connection":"5d20c9f7e81ab364","info":{"name":"小博"},"data":{"text":"Hi Ann!"}}"#
                                .into(),
                        ),
                    ],
                    more: true,
                    cursor: None,
                }),
            ),
        ),
        ("reply_pong", Push::Pong { id: None }.to_line()),
        (
            "push_welcome",
            Push::Welcome(Welcome {
                id: None,
                connection: Some(WelcomeToConnection {
                    protocol: "snug.v1",
                    room: &room,
                    connection: BOB,
                    user: &bob,
                }),
                can: Capabilities::default_grant(),
                epoch: &epoch,
                offset: Offset(40),
                read: Some(push::ReadState {
                    read: Offset(0),
                    unread: 40,
                    mentions: 0,
                }),
                recovered: None,
                count: 2,
                members: Some(members.to_vec()),
                truncated: false,
                expires: Some(START.plus_ms(3_600_000)),
                ping_ms: Some(30_000),
                limits: Some(ConnectionLimits {
                    message_bytes: 65_536,
                    messages_per_second: 50,
                }),
            })
            .to_line(),
        ),
        (
            "push_hello",
            Push::Hello(Hello {
                protocol: "snug.v1",
                connection: BOB,
                user: &bob,
                expires: START.plus_ms(3_600_000),
                ping_ms: 30_000,
                rooms_max: ROOMS_PER_SESSION_MAX,
                limits: ConnectionLimits {
                    message_bytes: 65_536,
                    messages_per_second: 50,
                },
            })
            .to_line(),
        ),
        (
            "push_welcome_to_room",
            with_room(
                &Push::Welcome(Welcome {
                    id: Some(&CommandId::Number(1)),
                    connection: None,
                    can: [Capability::Receive, Capability::Publish].into_iter().collect(),
                    epoch: &epoch,
                    offset: Offset(41),
                    read: None,
                    recovered: Some(true),
                    count: 2,
                    members: None,
                    truncated: false,
                    expires: None,
                    ping_ms: None,
                    limits: None,
                })
                .to_line(),
                &room,
            ),
        ),
        (
            "push_badge",
            with_room(
                &Push::Badge(Badge {
                    offset: Offset(60),
                    unread: 3,
                    mentions: 1,
                    last: Some(raw(concat!(
                        r#"{"offset":58,"time":1800000005000,"user":"ann","mentions":["bob"],"#,
                        r#""data":{"text":"@bob Can you look at it?"}}"#
                    ))),
                })
                .to_line(),
                &RoomName::parse("team:7:random").unwrap(),
            ),
        ),
        (
            "push_message_in_room",
            with_room(
                &Push::Message(Message {
                    offset: Offset(41),
                    time: START.plus_ms(5_000),
                    user: &ann,
                    connection: None,
                    info: None,
                    event: None,
                    re: None,
                    mentions: &[],
                    key: None,
                    data: raw(r#"{"text":"hi"}"#),
                })
                .to_line(),
                &room,
            ),
        ),
        (
            "push_left",
            with_room(
                &Push::Left {
                    code: CloseCode::Interrupted.number(),
                    reason: CloseCode::Interrupted.reason(),
                    reconnect: true,
                    delay_ms: Some(120),
                    reference: None,
                }
                .to_line(),
                &room,
            ),
        ),
        ("push_message", message(None)),
        ("push_message_own", message(Some("d1f0c2"))),
        (
            "push_signal",
            Push::Signal {
                user: &ann,
                connection: ANN_DESKTOP,
                event: Some("typing"),
                data: raw(r#"{"typing":true}"#),
            }
            .to_line(),
        ),
        (
            "push_presence",
            Push::Presence(PresenceChange {
                joins: vec![&members[1]],
                leaves: vec![&user("cho")],
                updates: vec![
                    StateChange {
                        user: &ann,
                        connection: ANN_DESKTOP,
                        state: Some(raw(r#"{"typing":true}"#)),
                    },
                    StateChange {
                        user: &ann,
                        connection: ANN_PHONE,
                        state: None,
                    },
                ],
                truncated: false,
                count: 2,
            })
            .to_line(),
        ),
        (
            "push_error",
            Push::Error {
                id: Some(&id(7)),
                code: ErrorCode::RateLimited.name(),
                message: "too many commands",
                retryable: ErrorCode::RateLimited.is_retryable(),
                retry_after_ms: Some(20),
                version: None,
            }
            .to_line(),
        ),
        (
            "http_publish_response",
            ApiResponse::from(&published(stored)).body,
        ),
        (
            "http_room_response",
            ApiResponse::from(&Reply::Status(RoomStatus {
                room: room.clone(),
                epoch: Some(epoch.clone()),
                offset: Offset(42),
                connections: 3,
                members: 2,
                messages: 42,
                storage_bytes: 61_440,
                webhooks: WebhookCounts::default(),
            }))
            .body,
        ),
        ("webhook_events", webhook_body(&room, &message(None)).into()),
        (
            "push_closing",
            Push::Closing {
                code: closing.number(),
                reason: closing.reason(),
                reconnect: closing.should_reconnect(),
                reference: Reference::new(0x5bd1_e995_5bd1_e995),
            }
            .to_line(),
        ),
        (
            "session_cookie_request",
            serde_json::to_string(&SessionRequest {
                room: Some(&room),
                ip: Some("203.0.113.7"),
            })
            .unwrap()
            .into(),
        ),
        (
            "publish_hook_request",
            hook_request().body("2027-01-15T08:00:05.000Z").into(),
        ),
        (
            "log_refusal",
            LogLine::refusal(
                &Refusal::RoomForbidden,
                &Requester {
                    room: Some(room.clone()),
                    user: Some(ann.clone()),
                    origin: Some(Origin::new("https://app.example")),
                },
                Reference::new(0x9e37_79b9_7f4a_7c15),
            )
            .to_json()
            .into(),
        ),
        (
            "problem_token_expired",
            serde_json::to_string(&Refusal::TokenExpired.body(Reference::new(0x9e37_79b9_7f4a_7c15)))
                .unwrap()
                .into(),
        ),
    ];
    pushes
        .into_iter()
        .map(|(name, line)| (name, line.to_string()))
        .collect()
}

/// Returns a publish hook request.
fn hook_request() -> publish_hook::HookRequest {
    let proposed = |user, connection, event, data| ProposedMessage {
        user,
        connection,
        of: None,
        action: None,
        re: None,
        mentions: &[],
        event,
        data: Cow::Borrowed(raw(data)),
        bytes_max: 65_536,
    };
    let (ann, bob, cho) = (user("ann"), user("bob"), user("cho"));
    publish_hook::HookRequest::new(
        RoomName::parse("team:7:general").unwrap(),
        &[
            proposed(&ann, ANN_DESKTOP, Some("chat"), r#"{"text":"你好 👋"}"#),
            proposed(&bob, BOB, None, r#"{"text":"Damn, Ann!"}"#),
            proposed(&cho, ANN_PHONE, None, r#"{"text":"https://cheap.example"}"#),
        ],
    )
}

/// Returns the vectors by file name without `.json`.
fn vectors() -> BTreeMap<String, Value> {
    let files = fs::read_dir(top().join("tests/vectors")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .map(|path| {
            let value = serde_json::from_str(&fs::read_to_string(&path).unwrap());
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(path.extension().unwrap(), "json", "{name}");
            (name.to_owned(), value.unwrap())
        })
        .collect()
}

/// Returns the JSON code blocks of a Markdown text.
fn json_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while lines.any(|line| line.trim() == "```json") {
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push(block.collect::<Vec<_>>().join("\n"));
    }
    blocks
}

fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn raw(json: &'static str) -> &'static RawValue {
    serde_json::from_str(json).unwrap()
}
