//! Presence: each user is one member, with one join and one leave.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::driver::{Client, START_MS, TestRoom, TestUser, scenario, scenario_with};

const GRACE_MS: u64 = 5_000;

#[test]
fn a_join_is_sent_to_the_others_only() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        let bob = room.admit(TestUser::named("bob").with_info(json!({ "name": "Bob" })));
        let change = room.receives(ann, json!({ "type": "presence" }));
        assert_eq!(
            change,
            json!({
                "type": "presence",
                "joins": [{
                    "user": "bob",
                    "info": { "name": "Bob" },
                    "since": START_MS,
                    "connections": 1,
                    "state": {}
                }],
                "leaves": [],
                "updates": [],
                "count": 2
            })
        );
        room.receives(bob, json!({ "type": "welcome", "count": 2 }));
        room.receives_nothing(bob);
    });
}

#[test]
fn a_second_tab_causes_no_join_or_leave() {
    for clean in [true, false] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            let tab = room.join("bob");
            room.receives(tab, json!({ "type": "welcome", "count": 2 }));
            room.receives_nothing(ann);
            room.disconnects(tab, clean);
            room.pass_ms(GRACE_MS * 2);
            room.receives_nothing(ann);
            room.receives_nothing(bob);
        });
    }
}

#[test]
fn the_first_tab_may_close_before_the_second() {
    scenario(|room| {
        let ann = room.join("ann");
        let (first, second) = (room.join("bob"), room.join("bob"));
        room.skips_received();
        room.leaves(first);
        room.receives_nothing(ann);
        room.leaves(second);
        room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_user_with_several_tabs_is_one_member() {
    scenario(|room| {
        let ann = room.join("ann");
        let tabs = ["bob", "bob", "bob"].map(|user| room.join(user));
        room.leaves(tabs[1]);
        room.skips_received();
        room.sends(ann, json!({ "type": "members", "id": 1 }));
        let reply = room.receives(ann, json!({ "type": "members" }));
        let member = |user: &str, connections: u32| {
            json!({
                "user": user,
                "info": {},
                "since": START_MS,
                "connections": connections,
                "state": {}
            })
        };
        assert_eq!(
            reply,
            json!({
                "type": "members",
                "id": 1,
                "members": [member("ann", 1), member("bob", 2)],
                "count": 2,
                "truncated": false
            })
        );
    });
}

#[test]
fn a_clean_close_is_a_leave_at_once() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.leaves(bob);
        room.receives(
            ann,
            json!({ "type": "presence", "joins": [], "leaves": ["bob"], "updates": [], "count": 1 }),
        );
        room.pass_ms(GRACE_MS * 2);
        room.receives_nothing(ann);
    });
}

#[test]
fn a_lost_connection_is_a_leave_after_the_grace_period() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        room.receives_nothing(ann);
        room.pass_ms(1);
        room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
        room.pass_ms(GRACE_MS * 2);
        room.receives_nothing(ann);
    });
}

#[test]
fn a_reconnect_within_the_grace_period_sends_no_leave() {
    scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(10);
        let bob = room.join("bob");
        room.skips_received();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        let bob = room.join("bob");
        let since = START_MS + 10;
        let members =
            json!([{ "user": "ann" }, { "user": "bob", "since": since, "connections": 1 }]);
        room.receives(
            bob,
            json!({ "type": "welcome", "count": 2, "members": members }),
        );
        room.pass_ms(GRACE_MS * 2);
        room.receives_nothing(ann);
        room.leaves(bob);
        room.receives(ann, json!({ "leaves": ["bob"] }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_reconnect_after_the_grace_period_is_a_new_join() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.drops(bob);
        room.pass_ms(GRACE_MS);
        room.join("bob");
        room.receives(ann, json!({ "leaves": ["bob"] }));
        let join = json!({ "user": "bob", "since": START_MS + GRACE_MS });
        room.receives(ann, json!({ "joins": [join] }));
    });
}

#[test]
fn each_lost_connection_starts_a_new_grace_period() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        room.skips_received();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        let bob = room.join("bob");
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        room.receives_nothing(ann);
        room.pass_ms(1);
        room.receives(ann, json!({ "leaves": ["bob"] }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_member_within_the_grace_period_is_still_listed() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.admit(TestUser::named("bob").with_info(json!({ "name": "Bob" })));
        room.drops(bob);
        room.skips_received();
        room.sends(ann, json!({ "type": "members", "id": 1 }));
        let away = json!({
            "user": "bob",
            "connections": 0,
            "info": { "name": "Bob" },
            "since": START_MS,
        });
        room.receives(
            ann,
            json!({ "members": [{ "user": "ann" }, away], "count": 2 }),
        );
    });
}

#[test]
fn simultaneous_leaves_are_one_push() {
    scenario(|room| {
        let ann = room.join("ann");
        let (bob, cho) = (room.join("bob"), room.join("cho"));
        room.skips_received();
        room.drops(cho);
        room.drops(bob);
        room.pass_ms(GRACE_MS);
        room.receives(ann, json!({ "leaves": ["bob", "cho"], "count": 1 }));
        room.receives_nothing(ann);
    });
}

#[test]
fn without_a_grace_period_a_lost_connection_is_a_leave_at_once() {
    scenario_with(
        |rules| rules.presence_grace_ms = 0,
        |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            room.drops(bob);
            room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
        },
    );
}

#[test]
fn a_leave_is_sent_once_whichever_report_comes_first() {
    let reports: [&[bool]; 4] = [
        &[true, true],
        &[true, false],
        &[false, true],
        &[false, false],
    ];
    for reports in reports {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            for clean in reports {
                room.disconnects(bob, *clean);
            }
            room.pass_ms(GRACE_MS * 2);
            room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
            room.disconnects(bob, false);
            room.pass_ms(GRACE_MS * 2);
            room.receives_nothing(ann);
        });
    }
}

#[test]
fn a_late_report_of_an_old_connection_does_not_affect_the_new_one() {
    scenario(|room| {
        let (ann, old) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.drops(old);
        let new = room.join("bob");
        room.disconnects(old, true);
        room.pass_ms(GRACE_MS * 2);
        room.receives_nothing(ann);
        assert!(room.is_open(new));
    });
}

#[test]
fn presence_pushes_need_the_option_and_the_capability() {
    scenario(|room| {
        let without_option = room.admit(TestUser::named("ann").without_presence());
        let without_capability =
            room.admit(TestUser::named("bob").with_capabilities(&["receive", "publish"]));
        let welcome = room.receives(without_option, json!({ "type": "welcome" }));
        assert!(welcome.get("members").is_some(), "members are not pushes");
        room.skips_received();
        let cho = room.join("cho");
        room.leaves(cho);
        room.receives_nothing(without_option);
        room.receives_nothing(without_capability);
    });
}

#[test]
fn member_info_is_that_of_the_newest_connection() {
    scenario(|room| {
        let old = room.admit(TestUser::named("bob").with_info(json!({ "v": 1 })));
        room.pass_ms(1);
        let new = room.admit(TestUser::named("bob").with_info(json!({ "v": 2 })));
        assert!(new < old, "newest by time and not by name");
        let ann = room.join("ann");
        let profile_is = |room: &mut TestRoom, info: Value| {
            room.skips_received();
            room.sends(ann, json!({ "type": "members", "id": 1 }));
            room.receives(
                ann,
                json!({ "members": [{}, { "user": "bob", "info": info }] }),
            );
        };
        profile_is(room, json!({ "v": 2 }));
        room.leaves(new);
        profile_is(room, json!({ "v": 1 }));
        room.leaves(old);
    });
}

#[test]
fn special_names_are_valid_user_ids() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        for name in [
            "__proto__",
            "constructor",
            "用户",
            "a\"b\\c",
            " ",
            "\u{2028}",
        ] {
            let strange = room.join(name);
            room.receives(ann, json!({ "joins": [{ "user": name }] }));
            room.leaves(strange);
            room.receives(ann, json!({ "leaves": [name] }));
        }
        room.receives_nothing(ann);
    });
}

/// Three users join and leave in every order, with clean closes and lost connections, and with and
/// without pauses.
#[test]
fn presence_is_exact_for_every_order_of_three_joins_and_leaves() {
    let mut orders = 0;
    each_order(&mut Vec::new(), &mut |order| {
        orders += 1;
        for clean_closes in 0..8_u32 {
            for pause_ms in [0, GRACE_MS / 2] {
                scenario(|room| {
                    let clean = |user: usize| clean_closes & (1 << user) != 0;
                    run_joins_and_leaves(room, order, clean, pause_ms);
                });
            }
        }
    });
    assert_eq!(orders, 90);
}

/// Visits every order in which each of three users occurs twice: to join and to leave.
fn each_order(so_far: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
    if so_far.len() == 6 {
        return visit(so_far);
    }
    for user in 0..3 {
        if so_far.iter().filter(|one| **one == user).count() < 2 {
            so_far.push(user);
            each_order(so_far, visit);
            so_far.pop();
        }
    }
}

fn run_joins_and_leaves(
    room: &mut TestRoom,
    order: &[usize],
    clean: impl Fn(usize) -> bool,
    pause_ms: u64,
) {
    let watcher = room.join("watcher");
    room.skips_received();
    let mut here: BTreeMap<usize, Client> = BTreeMap::new();
    // Users within the grace period, and the time at which it ends.
    let mut away: BTreeMap<usize, u64> = BTreeMap::new();
    for user in order {
        let name = ["ann", "bob", "cho"][*user];
        match here.remove(user) {
            None => {
                let client = room.join(name);
                let count = 2 + here.len() + away.len();
                room.receives(client, json!({ "type": "welcome", "count": count }));
                room.receives(
                    watcher,
                    json!({ "joins": [{ "user": name }], "count": count }),
                );
                here.insert(*user, client);
            }
            Some(client) => {
                room.disconnects(client, clean(*user));
                if clean(*user) {
                    let count = 1 + here.len() + away.len();
                    room.receives(watcher, json!({ "leaves": [name], "count": count }));
                } else {
                    away.insert(*user, room.now_ms() + GRACE_MS);
                }
            }
        }
        room.pass_ms(pause_ms);
        receives_leaves(room, watcher, &mut away);
        room.receives_nothing(watcher);
    }
    room.pass_ms(GRACE_MS);
    receives_leaves(room, watcher, &mut away);
    room.receives_nothing(watcher);
    assert!(away.is_empty());
}

/// Asserts that the users whose grace period has ended have left, in that order.
fn receives_leaves(room: &mut TestRoom, watcher: Client, away: &mut BTreeMap<usize, u64>) {
    let now = room.now_ms();
    let received: Vec<Value> = room
        .received(watcher)
        .iter()
        .flat_map(|change| change["leaves"].as_array().unwrap().clone())
        .collect();
    let mut gone: Vec<_> = away.iter().filter(|(_, due)| **due <= now).collect();
    gone.sort_by_key(|(user, due)| (**due, **user));
    let gone: Vec<_> = gone
        .iter()
        .map(|(user, _)| json!(["ann", "bob", "cho"][**user]))
        .collect();
    assert_eq!(received, gone);
    away.retain(|_, due| *due > now);
}
