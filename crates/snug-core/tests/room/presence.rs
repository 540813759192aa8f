//! Who is here: one member a user, announced once on coming and once on going.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::driver::{Client, START_MS, TestRoom, Visitor, scenario, scenario_with};

const GRACE_MS: u64 = 5_000;

#[test]
fn a_join_is_announced_to_the_others_only() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let bob = room.admit(Visitor::named("bob").with_info(json!({ "name": "Bob" })));
        let change = room.hears(ann, json!({ "type": "presence" }));
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
        room.hears(bob, json!({ "type": "welcome", "count": 2 }));
        room.hears_nothing(bob);
    });
}

#[test]
fn second_tab_announces_nothing_on_coming_or_going() {
    for clean in [true, false] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_to_now();
            let tab = room.join("bob");
            room.hears(tab, json!({ "type": "welcome", "count": 2 }));
            room.hears_nothing(ann);
            room.disconnects(tab, clean);
            room.pass_ms(GRACE_MS * 2);
            room.hears_nothing(ann);
            room.hears_nothing(bob);
        });
    }
}

#[test]
fn the_first_tab_may_go_before_the_second() {
    scenario(|room| {
        let ann = room.join("ann");
        let (first, second) = (room.join("bob"), room.join("bob"));
        room.skips_to_now();
        room.leaves(first);
        room.hears_nothing(ann);
        room.leaves(second);
        room.hears(ann, json!({ "leaves": ["bob"], "count": 1 }));
        room.hears_nothing(ann);
    });
}

#[test]
fn members_is_one_a_user_however_many_tabs() {
    scenario(|room| {
        let ann = room.join("ann");
        let tabs = ["bob", "bob", "bob"].map(|user| room.join(user));
        room.leaves(tabs[1]);
        room.skips_to_now();
        room.sends(ann, json!({ "type": "members", "id": 1 }));
        let reply = room.hears(ann, json!({ "type": "members" }));
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
fn a_clean_goodbye_is_announced_at_once() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.leaves(bob);
        room.hears(
            ann,
            json!({ "type": "presence", "joins": [], "leaves": ["bob"], "updates": [], "count": 1 }),
        );
        room.pass_ms(GRACE_MS * 2);
        room.hears_nothing(ann);
    });
}

#[test]
fn a_drop_is_announced_when_the_grace_has_passed() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        room.hears_nothing(ann);
        room.pass_ms(1);
        room.hears(ann, json!({ "leaves": ["bob"], "count": 1 }));
        room.pass_ms(GRACE_MS * 2);
        room.hears_nothing(ann);
    });
}

#[test]
fn whoever_is_back_within_the_grace_never_left() {
    scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(10);
        let bob = room.join("bob");
        room.skips_to_now();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        let bob = room.join("bob");
        let since = START_MS + 10;
        let members =
            json!([{ "user": "ann" }, { "user": "bob", "since": since, "connections": 1 }]);
        room.hears(
            bob,
            json!({ "type": "welcome", "count": 2, "members": members }),
        );
        room.pass_ms(GRACE_MS * 2);
        room.hears_nothing(ann);
        room.leaves(bob);
        room.hears(ann, json!({ "leaves": ["bob"] }));
        room.hears_nothing(ann);
    });
}

#[test]
fn whoever_is_back_too_late_joins_anew() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.drops(bob);
        room.pass_ms(GRACE_MS);
        room.join("bob");
        room.hears(ann, json!({ "leaves": ["bob"] }));
        let join = json!({ "user": "bob", "since": START_MS + GRACE_MS });
        room.hears(ann, json!({ "joins": [join] }));
    });
}

#[test]
fn each_drop_has_a_grace_of_its_own() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        room.skips_to_now();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        let bob = room.join("bob");
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        room.hears_nothing(ann);
        room.pass_ms(1);
        room.hears(ann, json!({ "leaves": ["bob"] }));
        room.hears_nothing(ann);
    });
}

#[test]
fn a_member_away_for_a_moment_is_still_listed() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.admit(Visitor::named("bob").with_info(json!({ "name": "Bob" })));
        room.drops(bob);
        room.skips_to_now();
        room.sends(ann, json!({ "type": "members", "id": 1 }));
        let away = json!({ "user": "bob", "connections": 0, "info": { "name": "Bob" } });
        room.hears(
            ann,
            json!({ "members": [{ "user": "ann" }, away], "count": 2 }),
        );
    });
}

#[test]
fn members_who_leave_at_the_same_moment_are_told_at_once() {
    scenario(|room| {
        let ann = room.join("ann");
        let (bob, cho) = (room.join("bob"), room.join("cho"));
        room.skips_to_now();
        room.drops(cho);
        room.drops(bob);
        room.pass_ms(GRACE_MS);
        room.hears(ann, json!({ "leaves": ["bob", "cho"], "count": 1 }));
        room.hears_nothing(ann);
    });
}

#[test]
fn without_a_grace_a_drop_is_announced_at_once() {
    scenario_with(
        |rules| rules.presence_grace_ms = 0,
        |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_to_now();
            room.drops(bob);
            room.hears(ann, json!({ "leaves": ["bob"], "count": 1 }));
        },
    );
}

#[test]
fn a_leave_is_announced_once_whichever_report_comes_first() {
    let reports: [&[bool]; 4] = [
        &[true, true],
        &[true, false],
        &[false, true],
        &[false, false],
    ];
    for reports in reports {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_to_now();
            for clean in reports {
                room.disconnects(bob, *clean);
            }
            room.pass_ms(GRACE_MS * 2);
            room.hears(ann, json!({ "leaves": ["bob"], "count": 1 }));
            room.disconnects(bob, false);
            room.pass_ms(GRACE_MS * 2);
            room.hears_nothing(ann);
        });
    }
}

#[test]
fn a_late_report_of_an_old_connection_does_not_touch_the_new_one() {
    scenario(|room| {
        let (ann, old) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.drops(old);
        let new = room.join("bob");
        room.disconnects(old, true);
        room.pass_ms(GRACE_MS * 2);
        room.hears_nothing(ann);
        assert!(room.is_open(new));
    });
}

#[test]
fn presence_pushes_come_only_to_those_who_want_and_may() {
    scenario(|room| {
        let unwilling = room.admit(Visitor::named("ann").without_presence());
        let unable = room.admit(Visitor::named("bob").who_can(&["receive", "publish"]));
        let welcome = room.hears(unwilling, json!({ "type": "welcome" }));
        assert!(welcome.get("members").is_some(), "members are not pushes");
        room.skips_to_now();
        let cho = room.join("cho");
        room.leaves(cho);
        room.hears_nothing(unwilling);
        room.hears_nothing(unable);
    });
}

#[test]
fn a_profile_is_the_newest_connections() {
    scenario(|room| {
        let old = room.admit(Visitor::named("bob").with_info(json!({ "v": 1 })));
        room.pass_ms(1);
        let new = room.admit(Visitor::named("bob").with_info(json!({ "v": 2 })));
        assert!(new < old, "newest by time and not by name");
        let ann = room.join("ann");
        let profile_is = |room: &mut TestRoom, info: Value| {
            room.skips_to_now();
            room.sends(ann, json!({ "type": "members", "id": 1 }));
            room.hears(
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
fn names_that_trip_others_up_are_names_here() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        for name in [
            "__proto__",
            "constructor",
            "用户",
            "a\"b\\c",
            " ",
            "\u{2028}",
        ] {
            let strange = room.join(name);
            room.hears(ann, json!({ "joins": [{ "user": name }] }));
            room.leaves(strange);
            room.hears(ann, json!({ "leaves": [name] }));
        }
        room.hears_nothing(ann);
    });
}

/// Three members come and go in every order there is, each going with or without a goodbye,
/// with and without time between the steps.
#[test]
fn every_order_of_three_joins_and_leaves() {
    let mut orders = 0;
    each_order(&mut Vec::new(), &mut |order| {
        orders += 1;
        for goodbyes in 0..8_u32 {
            for pause_ms in [0, GRACE_MS / 2] {
                scenario(|room| {
                    let clean = |user: usize| goodbyes & (1 << user) != 0;
                    watch_them_come_and_go(room, order, clean, pause_ms);
                });
            }
        }
    });
    assert_eq!(orders, 90);
}

/// Every order in which each of three users stands twice: once to come, once to go.
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

fn watch_them_come_and_go(
    room: &mut TestRoom,
    order: &[usize],
    clean: impl Fn(usize) -> bool,
    pause_ms: u64,
) {
    let watcher = room.join("watcher");
    room.skips_to_now();
    let mut here: BTreeMap<usize, Client> = BTreeMap::new();
    // When each of them leaves for good, as far as is known.
    let mut away: BTreeMap<usize, u64> = BTreeMap::new();
    for user in order {
        let name = ["ann", "bob", "cho"][*user];
        match here.remove(user) {
            None => {
                let client = room.join(name);
                let count = 2 + here.len() + away.len();
                room.hears(client, json!({ "type": "welcome", "count": count }));
                room.hears(
                    watcher,
                    json!({ "joins": [{ "user": name }], "count": count }),
                );
                here.insert(*user, client);
            }
            Some(client) => {
                room.disconnects(client, clean(*user));
                if clean(*user) {
                    let count = 1 + here.len() + away.len();
                    room.hears(watcher, json!({ "leaves": [name], "count": count }));
                } else {
                    away.insert(*user, room.now_ms() + GRACE_MS);
                }
            }
        }
        room.pass_ms(pause_ms);
        hears_them_leave(room, watcher, &mut away);
        room.hears_nothing(watcher);
    }
    room.pass_ms(GRACE_MS);
    hears_them_leave(room, watcher, &mut away);
    room.hears_nothing(watcher);
    assert!(away.is_empty());
}

/// Those whose grace has passed have left, in the order of their going.
fn hears_them_leave(room: &mut TestRoom, watcher: Client, away: &mut BTreeMap<usize, u64>) {
    let now = room.now_ms();
    let heard: Vec<Value> = room
        .heard(watcher)
        .iter()
        .flat_map(|change| change["leaves"].as_array().unwrap().clone())
        .collect();
    let mut gone: Vec<_> = away.iter().filter(|(_, due)| **due <= now).collect();
    gone.sort_by_key(|(user, due)| (**due, **user));
    let gone: Vec<_> = gone
        .iter()
        .map(|(user, _)| json!(["ann", "bob", "cho"][**user]))
        .collect();
    assert_eq!(heard, gone);
    away.retain(|_, due| *due > now);
}
