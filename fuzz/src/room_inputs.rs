//! Inputs of a room, from start to end. The first character is a sum of settings: 1 for small
//! limits, 2 for flush windows, 4 for webhooks, 8 for a publish hook. Each step is a letter with
//! its arguments, one character each, so that you can write a corpus file by hand: see `step`.
//! Arguments that are missing at the end count as 0.

use snug_core::{
    UserId,
    backend::api::{ApiOperation, RequestedAction},
    config::PublishFallback,
};

use super::world::{ALL, CHANGES_OWN, DEFAULT_GRANT, Kind, TestUser, World};

const STEPS_MAX: usize = 200;

pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let kind = bytes.digit();
    let mut world = World::new(Kind {
        is_tight: kind & 1 != 0,
        gathers: kind & 2 != 0,
        has_webhooks: kind & 4 != 0,
        publish_hook: match kind & 9 {
            8 => Some(PublishFallback::Refuse),
            9 => Some(PublishFallback::Allow),
            _ => None,
        },
    });
    for _ in 0..STEPS_MAX {
        let Some(letter) = bytes.next() else { break };
        step(&mut world, letter, &mut bytes);
    }
    world.finish();
}

fn step(world: &mut World, letter: u8, bytes: &mut Bytes<'_>) {
    match letter {
        // Join: user, options, capabilities, position to resume from, `last`.
        b'c' => {
            let user = bytes.digit();
            let options = bytes.digit();
            let capabilities = match bytes.digit() {
                0 => DEFAULT_GRANT,
                15 => ALL,
                some => {
                    let some = u16::from(some);
                    let changes = if some & 2 != 0 { CHANGES_OWN } else { 0 };
                    some | (some & 1) << 4 | changes
                }
            };
            let resume = match bytes.digit() {
                0 => None,
                9 => Some(("e0", 1)),
                15 => Some(("e1", u64::MAX)),
                back => Some(("e1", world.newest().saturating_sub(u64::from(back) - 1))),
            };
            let last = match bytes.digit() {
                0 => None,
                15 => Some(u64::MAX),
                some => Some(some.into()),
            };
            let _ = world.connect(TestUser {
                lines: options & 1 == 0,
                echo: options & 2 == 0,
                presence: options & 4 == 0,
                capabilities,
                resume,
                last,
                has_limits: options & 8 != 0,
                ..TestUser::new(user & 7)
            });
        }
        // Disconnect: connection; 0 for a clean close, 1 for a lost connection.
        b'd' => {
            let which = bytes.digit();
            world.disconnect(which.into(), bytes.digit() & 1 == 0);
        }
        // Frame of commands: connection, number of commands, then the commands.
        b'f' => {
            let which = bytes.digit();
            let count = bytes.digit().max(1);
            let lines: Vec<_> = (0..count).map(|_| command(bytes)).collect();
            world.receive(which.into(), &lines.join("\n"));
        }
        // Frame of changes, and of messages with text: connection, number of commands, then the commands.
        b'm' => {
            let which = bytes.digit();
            let count = bytes.digit().max(1);
            let newest = world.newest();
            let lines: Vec<_> = (0..count).map(|_| change(bytes, newest)).collect();
            world.receive(which.into(), &lines.join("\n"));
            world.check_changed();
        }
        // API request that changes a message: action, how far the message is behind the newest, and a number.
        b'i' => {
            let (kind, of, n) = (bytes.digit(), offset(bytes, world.newest()), bytes.digit());
            let (operation, body) = api_change(kind, of, n);
            world.send_api_request(operation, body);
            world.check_changed();
        }
        // Frame of any text: connection, then the text up to a `|`.
        b'r' => {
            let which = bytes.digit();
            let text = String::from_utf8_lossy(bytes.until(b'|')).into_owned();
            world.receive(which.into(), &text);
        }
        b'B' => world.receive_too_long(bytes.digit().into()),
        b'b' => world.receive_binary(bytes.digit().into()),
        b'p' => world.ping_runtime(bytes.digit().into()),
        // Passing of time, in steps from 3 ms to hours, without waking the room.
        b't' => {
            let exponent = bytes.digit() % 8;
            world.pass_ms(10_u64.pow(exponent.into()) * 3);
        }
        b'w' => world.wake_when_due(),
        b'o' => world.on_timeout(),
        b'j' => {
            let exponent = bytes.digit() % 8;
            world.jump_back_ms(10_u64.pow(exponent.into()) * 3);
        }
        b's' => world.storage_fails(bytes.digit().into()),
        b'h' => world.restore(),
        b'k' => world.crash(),
        b'g' => world.flush(),
        // Slow consumers: connection, or 15 for all; MiB.
        b'q' => {
            let which = bytes.digit();
            let mib = u64::from(bytes.digit());
            let which = (which != 15).then_some(which.into());
            world.fall_behind(which, mib << 20);
        }
        // Lost attachment: connection.
        b'l' => world.lose_attachment(bytes.digit().into()),
        // API request: operation, and a number.
        b'e' => {
            let (kind, n) = (bytes.digit(), bytes.digit());
            let (operation, body) = api_request(kind, n);
            world.send_api_request(operation, body);
        }
        b'u' => world.end_delivery(bytes.digit()),
        b'n' => world.end_token_check(bytes.digit()),
        b'v' => world.end_hook_request(bytes.digit()),
        _ => {}
    }
}

/// Returns the API request for a kind and an argument.
fn api_request(kind: u8, n: u8) -> (ApiOperation, String) {
    let operation = match kind & 7 {
        0..=2 => ApiOperation::Publish,
        3 => ApiOperation::messages(&format!("after={n}&limit=2")).expect("a page"),
        4 => ApiOperation::Members,
        5 => ApiOperation::Describe,
        6 => {
            let user = UserId::parse(&format!("u{}", n & 7)).expect("a user");
            ApiOperation::kick(user, &format!("ban_seconds={}", n >> 3)).expect("a kick")
        }
        _ => ApiOperation::Erase,
    };
    let body = match kind & 7 {
        0 => format!(r#"[{{"data":{n}}},{{"data":2,"key":"k{n}","user":"u1"}}]"#),
        1 => format!(r#"{{"data":"{}","key":"k{n}"}}"#, "x".repeat(1 << n)),
        2 => "[".repeat(n.into()),
        _ => String::new(),
    };
    (operation, body)
}

/// Reads how far a message is behind the newest entry, and returns its offset: 15 is beyond it.
fn offset(bytes: &mut Bytes<'_>, newest: u64) -> u64 {
    match bytes.digit() {
        15 => newest + 1,
        behind => newest.saturating_sub(behind.into()),
    }
}

/// Reads a kind, a message and an argument, and returns the command for them. Kinds from 8 on are the same with
/// a key or a version.
fn change(bytes: &mut Bytes<'_>, newest: u64) -> String {
    let (kind, of, n) = (bytes.digit(), offset(bytes, newest), bytes.digit());
    let fields = match kind & 7 {
        0 => format!(r#""type":"edit","of":{of},"data":"e{n}""#),
        1 => format!(r#""type":"edit","of":{of},"data":{{"text":"e{n}"}}"#),
        2 => format!(r#""type":"edit","of":{of},"data":[{n}]"#),
        3 => format!(r#""type":"append","of":{of},"text":"a{n}""#),
        4 => format!(
            r#""type":"append","of":{of},"text":"\"{}""#,
            "y".repeat(1 << n)
        ),
        5 if n & 1 == 0 => format!(r#""type":"delete","of":{of}"#),
        5 => format!(r#""type":"delete","of":{of},"reason":"r{n}""#),
        6 => format!(r#""type":"publish","data":"t{n}""#),
        _ => format!(r#""type":"publish","data":{{"text":"t{n}"}}"#),
    };
    match kind {
        8..=12 if n & 1 == 0 => format!(r#"{{{fields},"id":{n},"if_version":{}}}"#, n / 2),
        8.. => format!(r#"{{{fields},"id":{n},"key":"k{n}"}}"#),
        _ => format!(r#"{{{fields},"id":{n}}}"#),
    }
}

/// Returns the API request that changes a message.
fn api_change(kind: u8, of: u64, n: u8) -> (ApiOperation, String) {
    let (offset, version) = (of.to_string(), format!("\"{n}\""));
    let if_match = (kind & 4 != 0).then_some(&*version);
    let (action, body) = match kind & 3 {
        0 => (RequestedAction::Edit, format!(r#"{{"data":"h{n}"}}"#)),
        1 => (
            RequestedAction::Append,
            format!(r#"{{"text":"h{n}","user":"u{}"}}"#, n & 7),
        ),
        2 => (
            RequestedAction::Append,
            format!(r#"{{"text":"h","key":"k{n}"}}"#),
        ),
        _ => {
            let query = if n & 1 == 0 { "" } else { "reason=r&user=u1" };
            let operation = ApiOperation::delete(&offset, if_match, query);
            return (operation.expect("a deletion"), String::new());
        }
    };
    let operation = ApiOperation::change(&offset, action, if_match, "");
    (operation.expect("a change"), body)
}

/// Reads a kind and an argument, and returns the command for them.
fn command(bytes: &mut Bytes<'_>) -> String {
    let kind = bytes.digit();
    let n = bytes.digit();
    match kind {
        0 => format!(r#"{{"type":"publish","id":{n},"data":"m{n}"}}"#),
        1 => format!(r#"{{"type":"publish","id":{n},"key":"k{n}","data":{{"n":{n}}}}}"#),
        2 => format!(r#"{{"type":"publish","data":[{n}],"event":"chat"}}"#),
        3 => format!(r#"{{"type":"signal","id":{n},"data":{n}}}"#),
        4 => format!(
            r#"{{"type":"signal","data":1,"to":["u{n}","u{}","x"]}}"#,
            n / 2
        ),
        5 => format!(r#"{{"type":"state","id":{n},"data":{{"s":{n}}}}}"#),
        6 => format!(r#"{{"type":"members","id":"{n}"}}"#),
        7 => format!(r#"{{"type":"history","id":{n},"limit":{n}}}"#),
        8 => format!(r#"{{"type":"history","id":{n},"after":{n},"limit":2}}"#),
        9 => format!(r#"{{"type":"history","id":{n},"before":{n}}}"#),
        10 => format!(r#"{{"type":"ping","id":{n}}}"#),
        11 => r#"{"type":"ping"}"#.into(),
        12 if n & 1 == 0 => format!(r#"{{"type":"dance","id":{n}}}"#),
        12 => format!(r#"{{"type":"refresh","id":{n},"token":"t"}}"#),
        13 if n == 0 => String::new(),
        13 => "{".into(),
        14 => format!(
            r#"{{"type":"publish","id":{n},"data":"{}"}}"#,
            "x".repeat(1 << n)
        ),
        _ => {
            let (user, hours) = (n & 7, n >> 3);
            format!(
                r#"{{"type":"kick","id":{n},"user":"u{user}","ban_seconds":{}}}"#,
                u32::from(hours) * 3_600
            )
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Reads a number from 0 to 15, written as `0` to `9`, then `:;<=>?`.
    fn digit(&mut self) -> u8 {
        self.next().unwrap_or(0) & 15
    }

    fn until(&mut self, end: u8) -> &'a [u8] {
        let at = self.0.iter().position(|one| *one == end);
        let (text, rest) = self.0.split_at(at.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        text
    }
}
