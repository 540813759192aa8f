//! Development tokens: issued without authentication, with whatever claims the request contains.

use std::{collections::BTreeSet, fmt, rc::Rc};

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    AlgorithmSignature,
    alg::{Hs256, Hs384, Hs512},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Key, TokenRules, key::Material};
use crate::{
    ids::Timestamp,
    limits::CLAIMS_BYTES_MAX,
    protocol::{json, refusal::Refusal},
    secret::Secret,
    service_url::is_loopback_host,
};

/// The lifetime of a token whose claims contain no `exp`: one day.
const LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// The refusal of claims longer than [`CLAIMS_BYTES_MAX`].
pub const CLAIMS_TOO_LONG: Refusal =
    Refusal::BadRequest("The token's claims in the body must not exceed 4 KiB");
const NO_CLAIMS: Refusal =
    Refusal::BadRequest("The body must be a JSON object with the token's claims");
const DUPLICATE_CLAIM: Refusal = Refusal::BadRequest("The body contains the same claim twice");

/// Issues development tokens.
///
/// Requests need no secret. Therefore the issuer exists only if the operator enables it, and even
/// then it serves only requests to a loopback host ([`DevTokenIssuer::serves`]). If it is left
/// enabled in a deployment by mistake, it issues nothing, because a deployment's host is never a
/// loopback host. Neither is a name that an attacker rebinds to this machine by DNS to read the
/// response from a web page.
pub struct DevTokenIssuer {
    key: Rc<Key>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// The headers in which a proxy names the client, or the host that the client requested.
pub const FORWARDED_HEADERS: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-original-host",
    "x-real-ip",
];

/// Returns true if all hosts and addresses in a header's value are of this machine. The value is a list
/// of them or, in `Forwarded` (RFC 7239), of parameters.
fn is_forwarded_on_this_machine(value: &str) -> bool {
    let parts = value.split([',', ';']);
    parts.map(str::trim).all(|part| {
        let (name, host) = part.split_once('=').unwrap_or(("for", part));
        let host = host.trim().trim_matches('"');
        let is_other = ["proto", "by"].contains(&name.trim().to_ascii_lowercase().as_str());
        let is_address = |host: &str| is_loopback_host(&format!("[{host}]"));
        is_other || is_loopback_host(host) || is_address(host)
    })
}

impl DevTokenIssuer {
    /// Creates an issuer of tokens that these rules accept; `None` if they contain no secret.
    pub fn new(rules: &TokenRules) -> Option<Self> {
        // A second secret is the one from before a rotation.
        let key = rules.secrets.first()?;
        Some(Self {
            key: key.clone(),
            issuer: rules.issuer.clone(),
            audience: rules.audience.clone(),
        })
    }

    /// Returns true if tokens are issued to requests with this host (and port, if it has one). A proxy
    /// on the machine may write its own name there, so the values of [`FORWARDED_HEADERS`] count, too:
    /// none may name another machine.
    pub fn serves<'a>(&self, host: &str, forwarded: impl IntoIterator<Item = &'a str>) -> bool {
        is_loopback_host(host) && forwarded.into_iter().all(is_forwarded_on_this_machine)
    }

    /// Signs the claims as written, even if admission would reject them. Adds `iat`, `exp`, `iss`
    /// and `aud` if absent.
    ///
    /// # Errors
    ///
    /// `bad_request` if the text is not a JSON object, contains a claim twice, or is too long.
    pub fn sign(&self, claims: &[u8], now: Timestamp) -> Result<Secret, Refusal> {
        if claims.len() > CLAIMS_BYTES_MAX {
            return Err(CLAIMS_TOO_LONG);
        }
        let claims = json::without_bom(str::from_utf8(claims).map_err(|_| NO_CLAIMS)?);
        self.key.sign(&self.complete(claims, now)?)
    }

    /// Returns the claims with the missing ones added.
    fn complete(&self, claims: &str, now: Timestamp) -> Result<String, Refusal> {
        let Names(names) = serde_json::from_str(claims).map_err(|_| NO_CLAIMS)?;
        let claimed: BTreeSet<_> = names.iter().map(String::as_str).collect();
        if claimed.len() < names.len() {
            return Err(DUPLICATE_CLAIM);
        }
        let text = |text: &Option<String>| serde_json::to_string(text.as_ref()?).ok();
        let now_s = now.0 / 1000;
        let end_s = now_s.saturating_add(LIFETIME_SECONDS);
        let mut complete = without_end(claims).to_owned();
        for (name, value) in [
            ("iat", Some(format!("{now_s}.{:03}", now.0 % 1000))),
            ("exp", Some(end_s.to_string())),
            ("iss", text(&self.issuer)),
            ("aud", text(&self.audience)),
        ] {
            let Some(value) = value.filter(|_| !claimed.contains(name)) else {
                continue;
            };
            let comma = if complete.ends_with('{') { "" } else { "," };
            complete.push_str(&format!("{comma}\"{name}\":{value}"));
        }
        complete.push('}');
        Ok(complete)
    }
}

/// Returns an object's text up to the end of its last member.
fn without_end(object: &str) -> &str {
    let object = object.trim_ascii_end();
    object.strip_suffix('}').unwrap_or(object).trim_ascii_end()
}

/// The names of an object's members.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Self, A::Error> {
        while let Some((name, IgnoredAny)) = object.next_entry()? {
            self.0.push(name);
        }
        Ok(self)
    }
}

impl Key {
    /// Returns a token with these claims. Fails for a public key, which cannot sign.
    fn sign(&self, claims: &str) -> Result<Secret, Refusal> {
        match &self.material {
            Material::Hs256(key) => Ok(token(&Hs256, key, claims)),
            Material::Hs384(key) => Ok(token(&Hs384, key, claims)),
            Material::Hs512(key) => Ok(token(&Hs512, key, claims)),
            Material::Public(_) => Err(Refusal::Internal),
        }
    }
}

/// Builds a token. jwt-compact's own `token` would serialize the claims again and change their text.
fn token<A: jwt_compact::Algorithm>(algorithm: &A, key: &A::SigningKey, claims: &str) -> Secret {
    let base64 = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, algorithm.name());
    let signed = format!(
        "{}.{}",
        base64(header.as_bytes()),
        base64(claims.as_bytes())
    );
    let signature = algorithm.sign(key, signed.as_bytes());
    Secret(format!("{signed}.{}", base64(&signature.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::token::{HmacAlgorithm, KeySet, testing::verify},
        limits::TOKEN_BYTES_MAX,
    };

    const SECRET: &[u8] = b"an hmac secret of 32 bytes or so";
    const NOW: Timestamp = Timestamp(1_800_000_000_999);

    #[test]
    fn issues_tokens_that_its_own_rules_accept() {
        for algorithm in [
            HmacAlgorithm::Hs256,
            HmacAlgorithm::Hs384,
            HmacAlgorithm::Hs512,
        ] {
            let rules = rules(algorithm);
            let token = issue(&rules, r#"{"sub":"ann","rooms":["lobby"]}"#);
            let claims = verify(&token, &rules, NOW).unwrap();
            assert_eq!(claims.user.as_str(), "ann");
            assert_eq!(claims.grants, serde_json::from_str(r#"["lobby"]"#).unwrap());
            assert_eq!(claims.expires, Timestamp(1_800_086_400_000));
            let name = format!("{algorithm:?}").to_uppercase();
            let header = format!(r#"{{"alg":"{name}","typ":"JWT"}}"#);
            assert_eq!(part(&token, 0), header);
            let other = TokenRules {
                secrets: vec![Rc::new(Key::hmac(algorithm, &[7; 32]))],
                ..TokenRules::default()
            };
            assert!(verify(&token, &other, NOW).is_err());
        }
    }

    #[test]
    fn signs_with_the_current_secret() {
        let previous = Rc::new(Key::hmac(HmacAlgorithm::Hs256, &[7; 32]));
        let mut rules = rules(HmacAlgorithm::Hs256);
        rules.secrets.push(previous);
        let token = issue(&rules, r#"{"sub":"ann"}"#);
        rules.secrets.pop();
        assert!(verify(&token, &rules, NOW).is_ok());
    }

    #[test]
    fn adds_only_the_missing_claims() {
        let plain = rules(HmacAlgorithm::Hs256);
        assert_eq!(
            signed(&plain, "{}"),
            r#"{"iat":1800000000.999,"exp":1800086400}"#
        );
        let named = rules_of("https://\"id\".example", "snug");
        assert_eq!(
            signed(&named, r#"{"sub":"ann"}"#),
            r#"{"sub":"ann","iat":1800000000.999,"exp":1800086400,"iss":"https://\"id\".example","aud":"snug"}"#
        );
        let token = issue(&named, r#"{"sub":"ann"}"#);
        assert!(verify(&token, &named, NOW).is_ok());
    }

    #[test]
    fn keeps_given_claims_as_written() {
        let rules = rules_of("https://id.example", "snug");
        for claims in [
            r#"{"exp":1,"iat":2,"iss":"other","aud":["a","b"]}"#,
            r#"{"exp":null,"iat":"then","iss":null,"aud":7}"#,
            r#"{"\u0065xp":1e999,"iat":-0.0,"iss":"\ud800","aud":{"exp":1,"exp":2}}"#,
        ] {
            assert_eq!(signed(&rules, claims), claims);
        }
        let spaced =
            " \r\n{ \t\"sub\" :\n[ \"安\" ,{} ] , \"exp\":1,\"iss\":\"\",\"aud\":\"}\"\t}\n ";
        assert_eq!(
            signed(&rules, spaced),
            " \r\n{ \t\"sub\" :\n[ \"安\" ,{} ] , \"exp\":1,\"iss\":\"\",\"aud\":\"}\",\"iat\":1800000000.999}"
        );
        assert_eq!(
            signed(&rules, " { \n } "),
            r#" {"iat":1800000000.999,"exp":1800086400,"iss":"https://id.example","aud":"snug"}"#
        );
    }

    #[test]
    fn rejects_claims_that_are_not_an_object() {
        for bytes in [
            "",
            " ",
            "null",
            "7",
            "\"{}\"",
            "[]",
            r#"[["sub","ann"]]"#,
            "{",
            "{}}",
            "{}{}",
            r#"{"sub"}"#,
            r#"{"sub":}"#,
            r#"{"sub":"ann",}"#,
            r#"{sub:"ann"}"#,
            r#"{"\ud800":1}"#,
            "{\"sub\":\"a\nb\"}",
            "sub=ann",
            "\u{feff}\u{feff}{}",
        ] {
            assert_eq!(refused(bytes.as_bytes()), NO_CLAIMS, "{bytes}");
        }
        assert_eq!(refused(b"{\"sub\":\"\xff\"}"), NO_CLAIMS);
    }

    #[test]
    fn rejects_duplicate_claims() {
        for claims in [
            r#"{"sub":"ann","sub":"ann"}"#,
            r#"{"exp":1,"sub":"ann","\u0065xp":2}"#,
            r#"{"":1,"":1}"#,
        ] {
            assert_eq!(refused(claims.as_bytes()), DUPLICATE_CLAIM, "{claims}");
        }
    }

    #[test]
    fn accepts_claims_up_to_the_limit_and_rejects_longer_ones() {
        let claims = |bytes: usize| {
            let padding = "x".repeat(bytes - r#"{"sub":"ann","x":""}"#.len());
            format!(r#"{{"sub":"ann","x":"{padding}"}}"#)
        };
        let rules = rules_of("https://id.example", "snug");
        let most = issue(&rules, &claims(CLAIMS_BYTES_MAX));
        assert!(most.len() < TOKEN_BYTES_MAX);
        assert!(verify(&most, &rules, NOW).is_ok());
        let more = claims(CLAIMS_BYTES_MAX + 1);
        assert_eq!(refused(more.as_bytes()), CLAIMS_TOO_LONG);
    }

    #[test]
    fn serves_loopback_hosts_only() {
        let issuer = DevTokenIssuer::new(&rules(HmacAlgorithm::Hs256)).unwrap();
        for host in ["localhost", "localhost:8787", "127.0.0.1:8787", "[::1]"] {
            assert!(issuer.serves(host, []), "{host}");
        }
        for host in ["chat.example.com", "localhost.example.com", "192.168.0.1"] {
            assert!(!issuer.serves(host, []), "{host}");
        }
    }

    #[test]
    fn does_not_exist_without_a_secret() {
        let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let rules = TokenRules {
            public: KeySet::read(set).unwrap(),
            ..TokenRules::default()
        };
        assert!(rules.has_keys());
        assert!(DevTokenIssuer::new(&rules).is_none());
    }

    fn rules(algorithm: HmacAlgorithm) -> TokenRules {
        TokenRules {
            secrets: vec![Rc::new(Key::hmac(algorithm, SECRET))],
            ..TokenRules::default()
        }
    }

    fn rules_of(issuer: &str, audience: &str) -> TokenRules {
        TokenRules {
            issuer: Some(issuer.into()),
            audience: Some(audience.into()),
            ..rules(HmacAlgorithm::Hs256)
        }
    }

    fn issue(rules: &TokenRules, claims: &str) -> String {
        let issued = DevTokenIssuer::new(rules)
            .unwrap()
            .sign(claims.as_bytes(), NOW);
        issued.unwrap().0
    }

    /// Returns the claims that were signed.
    fn signed(rules: &TokenRules, claims: &str) -> String {
        part(&issue(rules, claims), 1)
    }

    fn part(token: &str, index: usize) -> String {
        let part = token.split('.').nth(index).unwrap();
        String::from_utf8(Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
    }

    #[track_caller]
    fn refused(claims: &[u8]) -> Refusal {
        let issuer = DevTokenIssuer::new(&rules(HmacAlgorithm::Hs256)).unwrap();
        issuer.sign(claims, NOW).unwrap_err()
    }

    #[test]
    fn serves_requests_that_a_proxy_on_this_machine_has_forwarded_from_it() {
        let issuer = DevTokenIssuer::new(&rules(HmacAlgorithm::Hs256)).unwrap();
        for value in [
            "127.0.0.1",
            "::1",
            "[::1]:3000",
            "localhost:5173",
            "127.0.0.1, ::1",
            r#"for=127.0.0.1;host="localhost:8080";proto=https;by=203.0.113.7"#,
            r#"for="[::1]:4711""#,
        ] {
            assert!(issuer.serves("localhost", [value]), "{value}");
        }
        for value in [
            "203.0.113.7",
            "127.0.0.1, 203.0.113.7",
            "chat.example",
            "2001:db8::1",
            "for=203.0.113.7;host=localhost",
            "for=127.0.0.1;host=chat.example",
            "for=unknown",
            "localhost.example",
            "",
        ] {
            assert!(!issuer.serves("localhost", ["127.0.0.1", value]), "{value}");
        }
    }
}
