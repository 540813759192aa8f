//! Slow consumers: clients that read more slowly than the room sends.

use serde_json::json;
use snug_core::limits::{QUEUE_BYTES_MAX, ROOM_QUEUE_BYTES_MAX, USER_QUEUE_BYTES_MAX};

use crate::driver::{Client, TestRoom, TestUser, gathering_scenario, scenario};

const MIB: u64 = 1024 * 1024;
const GRACE_MS: u64 = 5_000;

#[test]
fn a_queue_one_byte_over_the_limit_closes_its_connection() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.falls_behind(&[(ann, QUEUE_BYTES_MAX), (bob, 300_000)]);
        assert!(room.is_open(ann));
        room.receives_nothing(ann);
        room.falls_behind(&[(ann, QUEUE_BYTES_MAX + 1), (bob, 300_000)]);
        room.receives_close(ann, 4002, "too_slow");
        assert!(room.is_open(bob));
        room.receives_nothing(bob);
    });
}

#[test]
fn queues_over_the_rooms_limit_close_the_slowest_connection() {
    assert_eq!(ROOM_QUEUE_BYTES_MAX, 64 * MIB);
    scenario(|room| {
        let members = crowd(room, 9);
        // One queue of 8 MiB and eight of 7 MiB.
        let mut queued = members
            .iter()
            .map(|one| (*one, 7 * MIB))
            .collect::<Vec<_>>();
        queued[4].1 = 8 * MIB;
        room.falls_behind(&queued);
        assert_eq!(closed(room, &members), [0; 0]);
        queued[0].1 += 1;
        room.falls_behind(&queued);
        // Closing the longest queue is enough.
        assert_eq!(closed(room, &members), [4]);
    });
}

#[test]
fn only_as_many_connections_are_closed_as_needed_slowest_first() {
    scenario(|room| {
        let members = crowd(room, 12);
        let sizes = [3, 7, 5, 8, 6, 7, 8, 6, 7, 8, 6, 7].map(|mib| mib * MIB);
        let queued: Vec<_> = members.iter().copied().zip(sizes).collect();
        // Of 78 MiB, closing two of the three queues of 8 MiB is enough.
        room.falls_behind(&queued);
        let closed = closed(room, &members);
        assert_eq!(closed.len(), 2);
        assert!(
            closed.iter().all(|one| sizes[*one] == 8 * MIB),
            "{closed:?}"
        );
    });
}

#[test]
fn the_queues_of_a_user_are_limited_together() {
    assert_eq!(USER_QUEUE_BYTES_MAX, 16 * MIB);
    scenario(|room| {
        let ann: Vec<_> = (0..4).map(|_| room.join("ann")).collect();
        let bob = room.join("bob");
        room.skips_received();
        let queued = |sizes: [u64; 4]| {
            let of_ann = ann.iter().copied().zip(sizes);
            of_ann.chain([(bob, 8 * MIB)]).collect::<Vec<_>>()
        };
        room.falls_behind(&queued([3 * MIB, 5 * MIB, 4 * MIB, 4 * MIB]));
        assert_eq!(closed(room, &ann), [0; 0]);
        room.falls_behind(&queued([3 * MIB, 5 * MIB, 4 * MIB, 4 * MIB + 1]));
        assert_eq!(closed(room, &ann), [1]);
        assert!(room.is_open(bob));
    });
}

#[test]
fn a_user_with_a_long_queue_cannot_open_another_connection() {
    scenario(|room| {
        let tabs = [room.join("ann"), room.join("ann")];
        room.falls_behind(&[(tabs[0], 5 * MIB), (tabs[1], 3 * MIB)]);
        room.join("ann");
        room.falls_behind(&[(tabs[0], 5 * MIB), (tabs[1], 3 * MIB + 1)]);
        assert_eq!(room.try_admit(TestUser::named("ann")), Err("rate_limited"));
        room.join("bob");
        room.drops(tabs[0]);
        room.join("ann");
    });
}

#[test]
fn the_queue_of_a_socket_counts_until_its_end_is_reported() {
    scenario(|room| {
        let tabs: Vec<_> = (0..3).map(|_| room.join("ann")).collect();
        let crowd = crowd(room, 7);
        room.ignores_closes();
        room.falls_behind(&[(tabs[0], QUEUE_BYTES_MAX + 1)]);
        assert!(!room.is_open(tabs[0]));
        // The room and the user are at their limits with it.
        let mut queued: Vec<_> = crowd.iter().map(|one| (*one, 6 * MIB)).collect();
        queued.extend([(tabs[1], 4 * MIB), (tabs[2], 4 * MIB - 1)]);
        room.falls_behind(&queued);
        assert_eq!(closed(room, &crowd), [0; 0]);
        assert!(room.is_open(tabs[1]) && room.is_open(tabs[2]));
        assert_eq!(room.try_admit(TestUser::named("ann")), Err("rate_limited"));
        // One more byte for the user.
        queued[8].1 += 1;
        room.falls_behind(&queued);
        assert!(!room.is_open(tabs[1]) || !room.is_open(tabs[2]));
        assert_eq!(closed(room, &crowd), [0; 0]);
    });
}

#[test]
fn the_user_of_a_slow_connection_stays_for_the_grace_period() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.falls_behind(&[(bob, QUEUE_BYTES_MAX + 1)]);
        room.pass_ms(GRACE_MS - 1);
        room.receives_nothing(ann);
        room.pass_ms(1);
        room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
    });
}

#[test]
fn a_slow_connection_does_not_affect_the_users_other_one() {
    scenario(|room| {
        let (ann, slow, fast) = (room.join("ann"), room.join("bob"), room.join("bob"));
        room.skips_received();
        room.falls_behind(&[(slow, QUEUE_BYTES_MAX + 1)]);
        room.receives_close(slow, 4002, "too_slow");
        room.pass_ms(GRACE_MS);
        room.publishes(ann, "here");
        room.receives_message(fast, "here");
        room.receives_message(ann, "here");
        room.receives_nothing(ann);
    });
}

#[test]
fn a_connection_that_has_ended_is_not_closed() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.leaves(bob);
        room.skips_received();
        room.falls_behind(&[(bob, QUEUE_BYTES_MAX + 1)]);
        room.falls_behind(&[]);
        room.receives_nothing(ann);
        room.receives_nothing(bob);
    });
}

#[test]
fn closing_a_slow_connection_flushes_the_outbox() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.gets_busy(ann);
        room.sends(cho, json!({ "type": "publish", "id": 1, "data": "x" }));
        room.falls_behind(&[(cho, QUEUE_BYTES_MAX + 1)]);
        // Its queue is too long for the message, so it receives that when it resumes.
        room.receives(cho, json!({ "type": "ack", "id": 1, "offset": 2 }));
        room.receives_close(cho, 4002, "too_slow");
        room.receives_message(ann, "x");
        room.receives_message(bob, "x");
    });
}

fn crowd(room: &mut TestRoom, size: usize) -> Vec<Client> {
    let members = (0..size).map(|number| room.join(&format!("user{number}")));
    let members = members.collect();
    room.skips_received();
    members
}

/// Returns the indices of the closed clients.
fn closed(room: &TestRoom, members: &[Client]) -> Vec<usize> {
    let closed = members.iter().enumerate();
    let closed = closed.filter(|(_, member)| !room.is_open(**member));
    closed.map(|(number, _)| number).collect()
}
