//! Tests of the connections and members: who is there, whose tokens end, which connections are swept.

use crate::{Admission, auth::token::ClaimedLimits};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const FIRST: ConnectionId = ConnectionId(1);
const SECOND: ConnectionId = ConnectionId(2);

fn rules() -> RoomRules {
    RoomRules::by_default()
}

/// Returns a connection of Ann's. Its token expires in `seconds`.
fn connection(id: ConnectionId, seconds: u64) -> Connection {
    let admission = Admission {
        user: ann(),
        info: None,
        can: Capabilities::default_grant(),
        expires: NOW.plus_ms(seconds.saturating_mul(1000)),
        issued: NOW,
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
    Connection::new(id, Via::Socket, admission, NOW, &rules(), NOW)
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

fn roster() -> Roster {
    let mut roster = Roster::default();
    for (id, seconds) in [(FIRST, 60), (SECOND, 30)] {
        roster.add(connection(id, seconds), None, &rules());
    }
    roster
}

#[test]
fn a_member_stays_until_the_last_connection_ends() {
    let mut roster = roster();
    assert_eq!(roster.presence().count(), 1);
    let departure = |roster: &mut Roster, id| {
        let removed = roster.remove(id, &rules());
        removed.map(|(_, departure)| departure)
    };
    assert_eq!(departure(&mut roster, FIRST), Some(Departure::Another));
    assert_eq!(departure(&mut roster, FIRST), None);
    assert_eq!(departure(&mut roster, SECOND), Some(Departure::Last));
    roster.leave(&ann());
    assert_eq!(roster.presence().count(), 0);
    assert_eq!((roster.socket_count(), roster.next_token_end()), (0, None));
}

#[test]
fn a_new_state_is_in_the_list_at_once() {
    let mut roster = roster();
    assert!(!roster.list().members[0].get().contains("typing"));
    let state = RawValue::from_string(r#"{"is":"typing"}"#.into()).unwrap();
    assert_eq!(roster.set_state(FIRST, state.into()), Some(ann()));
    assert!(roster.list().members[0].get().contains("typing"));
    assert_eq!(
        roster.set_state(ConnectionId(9), RawValue::NULL.to_owned().into()),
        None
    );
}

#[test]
fn tokens_end_in_order_and_once() {
    let (mut roster, leeway_ms) = (roster(), rules().leeway_ms);
    let ends = |seconds: u64| NOW.plus_ms(1000 * seconds + leeway_ms);
    assert_eq!(roster.next_token_end(), Some(ends(30)));
    assert_eq!(roster.pop_ended_token(Timestamp(ends(30).0 - 1)), None);
    assert_eq!(roster.pop_ended_token(ends(60)), Some(SECOND));
    assert_eq!(roster.pop_ended_token(ends(60)), Some(FIRST));
    assert_eq!(roster.pop_ended_token(ends(60)), None);
}

#[test]
fn a_new_token_moves_the_end_and_takes_a_state_that_is_not_granted() {
    let mut roster = roster();
    let state = RawValue::from_string("{}".into()).unwrap();
    roster.set_state(SECOND, state.into());
    let claims = Claims {
        user: ann(),
        info: None,
        grants: serde_json::from_str(r#"{"*":["receive"]}"#).unwrap(),
        expires: NOW.plus_ms(90_000),
        issued: NOW,
        limits: ClaimedLimits::default(),
    };
    let can = [Capability::Receive].into_iter().collect();
    let refreshed = roster.refresh(SECOND, claims, can, &rules(), NOW).unwrap();
    assert!(refreshed.hides_state);
    let first = NOW.plus_ms(60_000 + rules().leeway_ms);
    assert_eq!(roster.next_token_end(), Some(first));
}

#[test]
fn a_connection_has_the_class_of_its_latest_token_and_options() {
    let mut roster = roster();
    let receives_presence = |roster: &Roster| -> Vec<_> {
        let ids = roster.classes().sockets(|class| class.receives_presence);
        ids.map(|(id, _)| id).collect()
    };
    assert_eq!(receives_presence(&roster), [FIRST, SECOND]);
    let mut options = JoinOptions {
        lines: true,
        echo: true,
        presence: false,
        resume: None,
        last: None,
        mode: Default::default(),
    };
    roster.set_options(FIRST, &options);
    assert_eq!(receives_presence(&roster), [SECOND]);
    let claims = Claims {
        user: ann(),
        info: None,
        grants: serde_json::from_str(r#"{"*":["receive"]}"#).unwrap(),
        expires: NOW.plus_ms(90_000),
        issued: NOW,
        limits: ClaimedLimits::default(),
    };
    let can = [Capability::Receive].into_iter().collect();
    roster.refresh(SECOND, claims, can, &rules(), NOW);
    assert!(!roster.classes().has(|class| class.receives_presence));
    options.presence = true;
    for id in [FIRST, SECOND] {
        roster.set_options(id, &options);
    }
    assert_eq!(receives_presence(&roster), [FIRST]);
    for id in [FIRST, SECOND] {
        roster.remove(id, &rules());
    }
    assert!(!roster.classes().has(|_| true));
}

#[test]
fn a_socket_that_is_being_closed_is_its_users_and_no_connection() {
    let mut roster = roster();
    roster.remove(FIRST, &rules());
    roster.add_closing(FIRST, ClosingSocket::new(Some(ann())));
    assert_eq!((roster.connections().len(), roster.socket_count()), (1, 2));
    let own: Vec<_> = roster.sockets_of(&ann()).collect();
    assert_eq!(own, [SECOND, FIRST]);
    roster.end_closing(FIRST);
    assert_eq!(roster.socket_count(), 1);
}

#[test]
fn a_sweep_finds_the_connections_without_a_frame_or_a_ping() {
    let (mut roster, rules) = (roster(), rules());
    let late = NOW.plus_ms(2 * rules.idle_timeout_ms);
    let answered = BTreeMap::from([(SECOND, late)]);
    assert_eq!(roster.sweep(&answered, &rules, late), [FIRST]);
    assert_eq!(roster.sweep(&answered, &rules, NOW), []);
}
