//! Tests of `join_request.rs`.

use crate::{
    Capability,
    auth::{
        origins::origins,
        token::{ClaimedLimits, HmacAlgorithm, Key},
    },
};

use super::*;
use crate::application::Place;

#[test]
fn finds_the_token_in_the_header_the_subprotocol_and_the_query() {
    for (request, token) in [
        (
            RequestParts {
                authorization: Some("Bearer from.header.x"),
                ..request()
            },
            "from.header.x",
        ),
        (
            RequestParts {
                protocols: Some("snug.v1, bearer.from.protocol.x"),
                ..request()
            },
            "from.protocol.x",
        ),
        (
            RequestParts {
                query: "token=from.query.x",
                ..request()
            },
            "from.query.x",
        ),
    ] {
        let join_request = JoinRequest::read(&request, &rules_with_token_in_query()).unwrap();
        assert_eq!(token_of(join_request), token);
    }
}

#[test]
fn uses_only_the_first_token_even_if_it_is_empty() {
    let all = RequestParts {
        authorization: Some("Bearer first"),
        protocols: Some("snug.v1, bearer.second, bearer.another"),
        query: "token=third",
        ..request()
    };
    let read = |request: RequestParts| {
        let join_request = JoinRequest::read(&request, &rules_with_token_in_query());
        join_request.map(token_of)
    };
    assert_eq!(read(all), Ok("first".into()));
    // An empty token counts as present, so no other place is tried.
    let empty = RequestParts {
        authorization: Some("Bearer"),
        ..all
    };
    assert_eq!(read(empty), Ok("".into()));
    let without_header = RequestParts {
        authorization: None,
        ..all
    };
    assert_eq!(read(without_header), Ok("second".into()));
    let empty = RequestParts {
        protocols: Some("snug.v1, bearer."),
        ..without_header
    };
    assert_eq!(read(empty), Ok("".into()));
    let without_protocol = RequestParts {
        protocols: Some("snug.v1"),
        ..without_header
    };
    assert_eq!(read(without_protocol), Ok("third".into()));
}

#[test]
fn ignores_a_token_in_the_query_unless_it_is_allowed() {
    let request = RequestParts {
        query: "token=x",
        ..request()
    };
    assert_eq!(refused(request), Refusal::TokenMissing);
    let with_header = RequestParts {
        authorization: Some("Bearer y"),
        ..request
    };
    assert_eq!(token_of(read(with_header).unwrap()), "y");
}

#[test]
fn accepts_the_bearer_scheme_in_any_case_and_ignores_other_schemes() {
    for (authorization, token) in [
        ("Bearer x", Some("x")),
        ("bearer x", Some("x")),
        ("BEARER   x ", Some("x")),
        ("Basic x", None),
        ("Bearerx", None),
        ("", None),
    ] {
        let request = RequestParts {
            authorization: Some(authorization),
            ..request()
        };
        let found = read(request).map(token_of);
        let expected = token.map(str::to_owned).ok_or(Refusal::TokenMissing);
        assert_eq!(found, expected, "{authorization:?}");
    }
}

#[test]
fn allows_several_objects_a_frame_only_with_the_subprotocol() {
    for (protocols, lines) in [
        (None, false),
        (Some(""), false),
        (Some("snug.v1"), true),
        (Some("bearer.x,snug.v1"), true),
        (Some(" other ,\tsnug.v1 "), true),
    ] {
        let request = RequestParts {
            authorization: Some("Bearer x"),
            protocols,
            ..request()
        };
        assert_eq!(read(request).unwrap().options.lines, lines, "{protocols:?}");
    }
}

#[test]
fn rejects_an_offer_of_other_subprotocols_only() {
    for protocols in [
        "graphql-ws",
        "bearer.x",
        "snug.v2",
        "Snug.v1",
        "snug.v1x",
        "a, b",
    ] {
        let request = RequestParts {
            authorization: Some("Bearer x"),
            protocols: Some(protocols),
            ..request()
        };
        assert_eq!(refused(request).code(), "bad_request", "{protocols}");
    }
}

#[test]
fn reads_the_options_in_the_query() {
    let options = options_of("").unwrap();
    assert!(options.echo && options.presence);
    assert_eq!((options.resume, options.last), (None, None));
    let options = options_of("echo=0&presence=0&last=20&epoch=e%201&offset=7&x=y").unwrap();
    assert!(!options.echo && !options.presence);
    assert_eq!(options.last, Some(20));
    let position = Position {
        epoch: "e 1".into(),
        offset: Offset(7),
    };
    assert_eq!(options.resume, Some(position));
    assert!(options_of("echo=1&presence=1").unwrap().echo);
}

#[test]
fn rejects_query_options_that_are_malformed_or_out_of_range() {
    let epoch = |bytes: usize| format!("offset=0&epoch={}", "e".repeat(bytes));
    let most = SAFE_INTEGER_MAX;
    for good in [
        "offset=0&epoch=e".to_owned(),
        epoch(EPOCH_BYTES_MAX),
        format!("offset={most}&epoch=e&last={most}"),
        "last=0".into(),
        "&&&".into(),
        "unknown=1&unknown=2".into(),
        "x".repeat(QUERY_BYTES_MAX),
    ] {
        assert!(options_of(&good).is_ok(), "{good}");
    }
    for bad in [
        "echo".to_owned(),
        "echo=".into(),
        "echo=true".into(),
        "echo=2".into(),
        "presence=no".into(),
        "last=".into(),
        "last=-1".into(),
        "last=%2B1".into(),
        "last=1.0".into(),
        "last=1e3".into(),
        format!("last={}", most + 1),
        "last=99999999999999999999".into(),
        format!("epoch=e&offset={}", most + 1),
        "epoch=e".into(),
        "offset=1".into(),
        "epoch=&offset=1".into(),
        epoch(EPOCH_BYTES_MAX + 1),
        "x".repeat(QUERY_BYTES_MAX + 1),
    ] {
        assert_eq!(options_of(&bad).unwrap_err().code(), "bad_request", "{bad}");
    }
}

#[test]
fn percent_decodes_room_names_once() {
    for (room, name) in [
        ("team:7:general", "team:7:general"),
        ("team%3A7%3ageneral", "team:7:general"),
        ("%61", "a"),
        ("a%40b", "a@b"),
    ] {
        let join_request = read(RequestParts {
            room,
            ..with_token()
        });
        assert_eq!(join_request.unwrap().room.as_str(), name);
    }
    for room in [
        "", "%20", "a%20b", "a%2Fb", "a/b", "%25361", "%2561", "%", "%4", "%zz", "a%00", "%C3%A9",
        "%FF", "a+b", "a*",
    ] {
        let request = RequestParts {
            room,
            ..with_token()
        };
        assert_eq!(refused(request), Refusal::BadRoom, "{room}");
    }
    let long = "r".repeat(128);
    let room = |room| RequestParts {
        room,
        ..with_token()
    };
    assert!(read(room(&long)).is_ok());
    assert_eq!(refused(room(&format!("{long}r"))), Refusal::BadRoom);
}

#[test]
fn rejects_a_foreign_origin_and_allows_a_request_without_one() {
    let from = |origin| RequestParts {
        origin,
        ..with_token()
    };
    assert!(read(from(None)).is_ok());
    assert!(read(from(Some("https://chat.example"))).is_ok());
    for origin in ["https://evil.example", "null"] {
        assert_eq!(refused(from(Some(origin))).code(), "origin_forbidden");
    }
}

#[test]
fn checks_the_form_and_origin_before_the_token() {
    let bad = RequestParts {
        room: "a b",
        origin: Some("null"),
        protocols: Some("other"),
        query: "echo=2",
        ..request()
    };
    assert_eq!(refused(bad), Refusal::BadRoom);
    let bad = RequestParts { room: "a", ..bad };
    assert_eq!(refused(bad).code(), "origin_forbidden");
    let bad = RequestParts {
        origin: None,
        ..bad
    };
    assert_eq!(refused(bad).code(), "bad_request");
    let bad = RequestParts {
        protocols: None,
        ..bad
    };
    assert_eq!(refused(bad), Refusal::BadRequest("'echo' must be 0 or 1"));
    assert_eq!(
        refused(RequestParts { query: "", ..bad }),
        Refusal::TokenMissing
    );
}

#[test]
fn admits_a_user_with_what_the_token_grants_in_the_room() {
    let claims = |rooms| Claims {
        user: UserId::parse("ann").unwrap(),
        expires: Timestamp(7),
        issued: Timestamp(3),
        grants: serde_json::from_str(rooms).unwrap(),
        info: None,
        limits: ClaimedLimits::default(),
    };
    let join_request = read(with_token()).unwrap();
    let admission = join_request
        .clone()
        .admit(claims(r#"{"lobby":["publish"]}"#))
        .unwrap();
    assert_eq!(admission.can, [Capability::Publish].into_iter().collect());
    assert_eq!(admission.expires, Timestamp(7));
    for rooms in [
        "[]",
        r#"["other"]"#,
        r#"{"lobby":[]}"#,
        r#"{"*":["receive"],"lobby":[]}"#,
    ] {
        let refusal = join_request.clone().admit(claims(rooms)).unwrap_err();
        assert_eq!(refusal, Refusal::RoomForbidden, "{rooms}");
    }
}

fn request() -> RequestParts<'static> {
    RequestParts {
        room: "lobby",
        scheme: "https",
        host: "chat.example",
        ..RequestParts::default()
    }
}

fn token_of(join_request: JoinRequest) -> String {
    match join_request.credential {
        Credential::Token(Secret(token)) => token,
        Credential::Session(_) => panic!("no token"),
    }
}

fn with_token() -> RequestParts<'static> {
    RequestParts {
        authorization: Some("Bearer x"),
        ..request()
    }
}

fn rules() -> AdmissionRules {
    AdmissionRules {
        tokens: TokenRules {
            secrets: vec![Rc::new(Key::hmac(HmacAlgorithm::Hs256, &[7; 32]))],
            ..TokenRules::default()
        },
        application: None,
        origins: AllowedOrigins::default(),
        token_in_query: false,
    }
}

#[test]
fn uses_the_cookie_session_if_there_is_no_token() {
    let rules = rules_with_application("https://app.example");
    let session = Credential::Session(rules.application.clone().unwrap());
    let join_request =
        |request: RequestParts<'_>| JoinRequest::read(&request, &rules).map(|one| one.credential);
    assert_eq!(join_request(request()), Ok(session.clone()));
    assert_eq!(
        join_request(with_token()),
        Ok(Credential::Token(Secret("x".into())))
    );
    // A cookie does not replace an invalid token.
    let broken = RequestParts {
        authorization: Some("Bearer "),
        ..request()
    };
    assert_eq!(
        join_request(broken),
        Ok(Credential::Token(Secret(String::new())))
    );
    let basic = RequestParts {
        authorization: Some("Basic YTpi"),
        ..request()
    };
    assert_eq!(join_request(basic), Ok(session));
    assert_eq!(refused(request()), Refusal::TokenMissing);
}

#[test]
fn accepts_cookies_from_its_own_and_listed_origins_but_not_by_a_star() {
    let join_request = |list: &str, origin| {
        let rules = rules_with_application(list);
        let request = RequestParts {
            origin: Some(origin),
            ..request()
        };
        JoinRequest::read(&request, &rules).is_ok()
    };
    let own = format!("https://{}", request().host);
    for (list, origin, is_allowed) in [
        ("https://app.example", "https://app.example", true),
        ("https://app.example", &*own, true),
        ("https://app.example", "http://chat.example", false),
        ("https://app.example", "http://app.example", false),
        ("https://app.example", "https://evil.example", false),
        ("*", &*own, true),
        ("*", "https://evil.example", false),
        ("*", "null", false),
    ] {
        assert_eq!(join_request(list, origin), is_allowed, "{origin} by {list}");
    }
    // A token is sent deliberately, so the cookie rule does not apply.
    let request = RequestParts {
        origin: Some("https://evil.example"),
        ..with_token()
    };
    assert!(JoinRequest::read(&request, &rules_with_application("*")).is_ok());
}

fn rules_with_application(list: &str) -> AdmissionRules {
    AdmissionRules {
        application: Some(Application {
            setting: "AUTH",
            place: Place::Binding,
        }),
        origins: origins(list),
        ..rules()
    }
}

fn rules_with_token_in_query() -> AdmissionRules {
    AdmissionRules {
        token_in_query: true,
        ..rules()
    }
}

fn read(request: RequestParts<'_>) -> Result<JoinRequest, Refusal> {
    JoinRequest::read(&request, &rules())
}

#[track_caller]
fn refused(request: RequestParts<'_>) -> Refusal {
    read(request).unwrap_err()
}

fn options_of(query: &str) -> Result<JoinOptions, Refusal> {
    let request = RequestParts {
        query,
        ..with_token()
    };
    read(request).map(|join_request| join_request.options)
}
