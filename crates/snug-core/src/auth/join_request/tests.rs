//! What `join_request.rs` promises.

use crate::{
    Capability,
    auth::token::{ClaimedLimits, HmacAlgorithm, Key},
};

use super::*;

#[test]
fn a_token_is_found_in_each_of_its_places() {
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
        let knock = JoinRequest::read(&request, &rules_with_token_in_query()).unwrap();
        assert_eq!(token_of(knock), token);
    }
}

#[test]
fn the_first_token_present_is_used_and_it_alone() {
    let all = RequestParts {
        authorization: Some("Bearer first"),
        protocols: Some("snug.v1, bearer.second, bearer.another"),
        query: "token=third",
        ..request()
    };
    let read = |request: RequestParts| {
        let knock = JoinRequest::read(&request, &rules_with_token_in_query());
        knock.map(token_of)
    };
    assert_eq!(read(all), Ok("first".into()));
    // Present and empty is present: no other is tried in its place.
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
fn a_token_in_the_query_counts_only_where_that_is_allowed() {
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
fn the_bearer_scheme_is_of_any_case_and_others_are_no_token() {
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
        let wanted = token.map(str::to_owned).ok_or(Refusal::TokenMissing);
        assert_eq!(found, wanted, "{authorization:?}");
    }
}

#[test]
fn lines_are_for_those_who_offer_the_subprotocol() {
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
fn an_offer_without_the_subprotocol_is_refused() {
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
fn query_options_are_read() {
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
fn query_options_hold_their_forms() {
    let epoch = |bytes: usize| format!("offset=0&epoch={}", "e".repeat(bytes));
    let most = SAFE_INTEGER_MAX;
    for good in [
        "offset=0&epoch=e".to_owned(),
        epoch(EPOCH_BYTES_MAX),
        format!("offset={most}&epoch=e&last={most}"),
        "last=0".into(),
        "&&&".into(),
        "unknown=1&unknown=2".into(),
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
    ] {
        assert_eq!(options_of(&bad).unwrap_err().code(), "bad_request", "{bad}");
    }
}

#[test]
fn room_names_are_percent_decoded_once() {
    for (room, name) in [
        ("team:7:general", "team:7:general"),
        ("team%3A7%3ageneral", "team:7:general"),
        ("%61", "a"),
        ("a%40b", "a@b"),
    ] {
        let knock = read(RequestParts {
            room,
            ..with_token()
        });
        assert_eq!(knock.unwrap().room.as_str(), name);
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
fn origins_are_the_hosts_own_and_those_listed() {
    let own = [
        "https://chat.example:8787",
        "http://chat.example:8787",
        "HTTPS://CHAT.EXAMPLE:8787",
    ];
    let listed = [
        "https://app.example",
        "https://APP.example",
        "tauri://localhost",
    ];
    let neither = [
        "null",
        "",
        "https://chat.example",
        "https://chat.example:8788",
        "https://chat.example:8787.evil.example",
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "https://app.example/",
        "app.example",
    ];
    let list = AllowedOrigins::parse(" https://app.example , Tauri://localhost").unwrap();
    let (none, any) = (
        AllowedOrigins::default(),
        AllowedOrigins::parse(" * ").unwrap(),
    );
    let host = "chat.example:8787";
    for origin in own {
        assert!(none.allow(origin, host), "{origin}");
        assert!(none.allow(origin, "Chat.Example:8787"), "{origin}");
        assert!(list.allow(origin, host), "{origin}");
    }
    for origin in listed {
        assert!(!none.allow(origin, host), "{origin}");
        assert!(list.allow(origin, host), "{origin}");
    }
    for origin in neither {
        assert!(!none.allow(origin, host), "{origin}");
        assert!(!list.allow(origin, host), "{origin}");
    }
    assert!(any.allow("https://evil.example", host));
    for nobody in ["null", "NULL", ""] {
        assert!(!any.allow(nobody, host), "{nobody}");
    }
}

#[test]
fn a_list_of_origins_holds_origins() {
    for good in [
        "*",
        "https://a.example",
        "http://localhost:3000,https://b",
        "http://[::1]:80",
    ] {
        assert!(AllowedOrigins::parse(good).is_some(), "{good}");
    }
    for bad in [
        "",
        ",",
        "https://a.example,",
        "a.example",
        "https://",
        "://a",
        "https://a.example/",
        "https://a.example/path",
        "https://*.example",
        "*,https://a.example",
        "https://user@a.example",
        "https://a.example https://b.example",
        "https://a?b",
        "null",
    ] {
        assert!(AllowedOrigins::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_foreign_origin_is_refused_and_none_at_all_is_fine() {
    let from = |origin| RequestParts {
        origin,
        ..with_token()
    };
    assert!(read(from(None)).is_ok());
    assert!(read(from(Some("https://chat.example"))).is_ok());
    for origin in ["https://evil.example", "null"] {
        assert_eq!(refused(from(Some(origin))), Refusal::OriginForbidden);
    }
}

#[test]
fn the_form_is_looked_at_before_the_token() {
    let bad = RequestParts {
        room: "a b",
        origin: Some("null"),
        protocols: Some("other"),
        query: "echo=2",
        ..request()
    };
    assert_eq!(refused(bad), Refusal::BadRoom);
    let bad = RequestParts { room: "a", ..bad };
    assert_eq!(refused(bad), Refusal::OriginForbidden);
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
fn a_token_is_worth_what_it_grants_in_the_room() {
    let claims = |rooms| Claims {
        user: UserId::parse("ann").unwrap(),
        expires: Timestamp(7),
        grants: serde_json::from_str(rooms).unwrap(),
        info: None,
        limits: ClaimedLimits::default(),
    };
    let knock = read(with_token()).unwrap();
    let admission = knock
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
        let refusal = knock.clone().admit(claims(rooms)).unwrap_err();
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

fn token_of(knock: JoinRequest) -> String {
    match knock.credential {
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
fn without_a_token_the_application_is_asked_where_there_is_one() {
    let rules = rules_with_application("https://app.example");
    let session = Credential::Session(rules.application.clone().unwrap());
    let knock =
        |request: RequestParts<'_>| JoinRequest::read(&request, &rules).map(|one| one.credential);
    assert_eq!(knock(request()), Ok(session.clone()));
    assert_eq!(
        knock(with_token()),
        Ok(Credential::Token(Secret("x".into())))
    );
    // A token that is no good is not made up for by a cookie.
    let broken = RequestParts {
        authorization: Some("Bearer "),
        ..request()
    };
    assert_eq!(knock(broken), Ok(Credential::Token(Secret(String::new()))));
    let basic = RequestParts {
        authorization: Some("Basic YTpi"),
        ..request()
    };
    assert_eq!(knock(basic), Ok(session));
    assert_eq!(refused(request()), Refusal::TokenMissing);
}

#[test]
fn cookies_count_for_listed_origins_and_ones_own_and_a_star_lists_none() {
    let knock = |list: &str, origin| {
        let rules = rules_with_application(list);
        let request = RequestParts {
            origin: Some(origin),
            ..request()
        };
        JoinRequest::read(&request, &rules).is_ok()
    };
    let own = format!("https://{}", request().host);
    for (list, origin, is_let_in) in [
        ("https://app.example", "https://app.example", true),
        ("https://app.example", &*own, true),
        ("https://app.example", "http://chat.example", false),
        ("https://app.example", "http://app.example", false),
        ("https://app.example", "https://evil.example", false),
        ("*", &*own, true),
        ("*", "https://evil.example", false),
        ("*", "null", false),
    ] {
        assert_eq!(knock(list, origin), is_let_in, "{origin} by {list}");
    }
    // A token is brought on purpose.
    let request = RequestParts {
        origin: Some("https://evil.example"),
        ..with_token()
    };
    assert!(JoinRequest::read(&request, &rules_with_application("*")).is_ok());
}

fn rules_with_application(origins: &str) -> AdmissionRules {
    AdmissionRules {
        application: ServiceUrl::parse("https://app.example/auth"),
        origins: AllowedOrigins::parse(origins).unwrap(),
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
    read(request).map(|knock| knock.options)
}
