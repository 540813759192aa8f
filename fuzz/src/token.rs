//! A token. The first byte sets the form of the rest: a whole token, a payload to sign, a header
//! and a payload (on two lines) to sign, or a payload to sign and then tamper with.

use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    Algorithm, AlgorithmSignature,
    alg::{Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key},
};
use serde_json::Value;
use snug_core::{
    RoomName, Timestamp,
    auth::token::{Claims, HmacAlgorithm, Key, Step, TokenRules, Verification},
    limits::{INFO_BYTES_MAX, TOKEN_BYTES_MAX, USER_BYTES_MAX},
};

const SECRET: &[u8] = b"a secret of the corpus, 32 bytes";
/// A secret that signs tokens but is not among the keys.
const OTHER_SECRET: &[u8] = b"another secret, and not accepted";
const NOW: Timestamp = Timestamp(1_800_000_000_000);
const LEEWAY_MS: u64 = 60_000;

pub fn run(bytes: &[u8]) {
    let Some((&flags, rest)) = bytes.split_first() else {
        return;
    };
    let rules = TokenRules {
        // HS384 is not accepted.
        secrets: [HmacAlgorithm::Hs256, HmacAlgorithm::Hs512]
            .map(|algorithm| Rc::new(Key::hmac(algorithm, SECRET)))
            .into(),
        issuer: (flags & 16 != 0).then(|| "app".into()),
        audience: (flags & 32 != 0).then(|| "rooms".into()),
        leeway_ms: LEEWAY_MS,
        ..TokenRules::default()
    };
    let algorithm = match (flags >> 2) & 3 {
        0 | 1 => "HS256",
        2 => "HS384",
        _ => "HS512",
    };
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let secret = if flags & 64 == 0 {
        SECRET
    } else {
        OTHER_SECRET
    };
    match flags & 3 {
        0 => {
            check(&String::from_utf8_lossy(rest), &rules);
        }
        1 => {
            let is_accepted = check(&sign(header.as_bytes(), rest, algorithm, secret), &rules);
            let is_ours = secret == SECRET && algorithm != "HS384";
            assert!(is_ours || !is_accepted, "accepted a token of another key");
        }
        2 => {
            let mut parts = rest.splitn(2, |byte| *byte == b'\n');
            let header = parts.next().unwrap_or_default();
            let payload = parts.next().unwrap_or_default();
            check(&sign(header, payload, algorithm, secret), &rules);
        }
        _ => {
            let (position, payload) = rest.split_at(rest.len().min(2));
            let mut token = sign(header.as_bytes(), payload, algorithm, secret).into_bytes();
            let at = position
                .iter()
                .fold(0, |at, byte| at * 256 + usize::from(*byte));
            let at = at % token.len();
            token[at] = if token[at] == b'A' { b'B' } else { b'A' };
            let is_accepted = check(&String::from_utf8(token).unwrap(), &rules);
            assert!(!is_accepted, "accepted a token that was tampered with");
        }
    }
}

fn sign(header: &[u8], payload: &[u8], algorithm: &str, secret: &[u8]) -> String {
    let encode = Base64UrlUnpadded::encode_string;
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = signature(&signed, algorithm, secret).unwrap();
    format!("{signed}.{}", encode(&signature))
}

fn signature(signed: &str, algorithm: &str, secret: &[u8]) -> Option<Vec<u8>> {
    let signed = signed.as_bytes();
    Some(match algorithm {
        "HS256" => (Hs256.sign(&Hs256Key::new(secret), signed).as_bytes()).to_vec(),
        "HS384" => (Hs384.sign(&Hs384Key::new(secret), signed).as_bytes()).to_vec(),
        "HS512" => (Hs512.sign(&Hs512Key::new(secret), signed).as_bytes()).to_vec(),
        _ => return None,
    })
}

/// Returns true if the token is accepted. Checks the signature and the limits of an accepted one.
fn check(token: &str, rules: &TokenRules) -> bool {
    let Ok(mut verification) = Verification::start(token, rules, NOW) else {
        return false;
    };
    let Step::Done(result) = verification.next_step() else {
        panic!("neither public keys nor an identity provider are configured");
    };
    let Ok(claims) = result else {
        return false;
    };
    assert!(token.len() <= TOKEN_BYTES_MAX);
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let decode = |part| Base64UrlUnpadded::decode_vec(part).unwrap();
    let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let algorithm = header["alg"].as_str().unwrap();
    assert!(matches!(algorithm, "HS256" | "HS512"), "{algorithm}");
    assert!(header.get("crit").is_none(), "{header}");
    assert_eq!(
        Some(decode(parts[2])),
        signature(signed, algorithm, SECRET),
        "accepted without a valid signature"
    );
    check_bounds(&claims);
    // Fields that are not claims may contain JSON that `Value` cannot represent.
    if let Ok(payload) = serde_json::from_slice(&decode(parts[1])) {
        check_claims(&claims, &payload, rules);
    }
    true
}

fn check_bounds(claims: &Claims) {
    let user = claims.user.as_str();
    assert!((1..=USER_BYTES_MAX).contains(&user.len()));
    assert!(!user.chars().any(char::is_control));
    assert!(claims.expires.plus_ms(LEEWAY_MS) > NOW);
    assert_ne!(claims.limits.messages_per_second, Some(0));
    assert_ne!(claims.limits.message_bytes, Some(0));
    if let Some(info) = &claims.info {
        let text = info.get();
        assert!(text.len() <= INFO_BYTES_MAX);
        assert!(!text.contains('\n'));
        assert!(serde_json::from_str::<Value>(text).unwrap().is_object());
    }
    let room = RoomName::parse("team:7:general").unwrap();
    assert!(
        claims
            .grants
            .for_room(&room)
            .is_none_or(|can| !can.is_empty())
    );
}

fn check_claims(claims: &Claims, payload: &Value, rules: &TokenRules) {
    assert!(payload.is_object());
    assert_eq!(payload["sub"], claims.user.as_str());
    let expires_s = payload["exp"].as_u64().unwrap();
    assert_eq!(claims.expires, Timestamp(expires_s * 1000));
    let not_before_s = payload["nbf"].as_u64().unwrap_or(0);
    assert!(not_before_s * 1000 <= NOW.0 + LEEWAY_MS);
    if let Some(issuer) = &rules.issuer {
        assert_eq!(payload["iss"], **issuer);
    }
    if let Some(wanted) = &rules.audience {
        let audience = &payload["aud"];
        let names = audience.as_array();
        assert!(audience == wanted || names.is_some_and(|all| all.iter().any(|one| one == wanted)));
    }
}
