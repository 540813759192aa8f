//! A frame of commands. The first byte sets the options of the sender, the rest is the frame.

use super::world::{DEFAULT_GRANT, Kind, TestUser, World};

pub fn run(bytes: &[u8]) {
    let Some((&flags, text)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let mut world = World::new(Kind::default());
    let other = world.connect(TestUser::new(1)).unwrap();
    let sender = TestUser {
        lines: flags & 1 == 0,
        echo: flags & 2 == 0,
        presence: flags & 4 == 0,
        capabilities: if flags & 8 == 0 {
            DEFAULT_GRANT
        } else {
            (flags >> 4).into()
        },
        ..TestUser::new(0)
    };
    let lines = if sender.lines {
        text.strip_suffix('\n').unwrap_or(&text).split('\n').count()
    } else {
        1
    };
    let sender = world.connect(sender).unwrap();

    let before = world.replies(sender);
    world.receive(sender, &text);
    assert!(
        world.replies(sender) - before <= lines,
        "more replies than lines"
    );

    world.storage_works();
    let acks = world.acks(other);
    world.receive(other, r#"{"type":"publish","id":"after","data":1}"#);
    assert_eq!(
        world.acks(other),
        acks + 1,
        "the other connection is not served"
    );
}
