//! Standard Webhooks signatures: HMAC-SHA256 of a request's id, time and body.

use base64ct::{Base64, Encoding};
use jwt_compact::{
    Algorithm, AlgorithmSignature,
    alg::{Hs256, Hs256Key},
};

use crate::ids::Timestamp;

/// The prefix of every secret.
const PREFIX: &str = "whsec_";
/// The least bytes of a secret, as the standard requires.
const SECRET_BYTES_MIN: usize = 24;
/// The most bytes of a secret, as the standard requires.
const SECRET_BYTES_MAX: usize = 64;

/// Signs requests to the back end.
#[derive(Default)]
pub struct Signer {
    keys: Vec<Hs256Key>,
}

impl Signer {
    /// Creates a signer that signs with each secret, so that a receiver with any of them can verify.
    pub fn new(secrets: &[Vec<u8>]) -> Self {
        let keys = secrets.iter().map(Hs256Key::new);
        Self {
            keys: keys.collect(),
        }
    }

    /// Decodes a secret: `whsec_` followed by base64. `None` if it is malformed or of the wrong length.
    pub fn read_secret(text: &str) -> Option<Vec<u8>> {
        let secret = Base64::decode_vec(text.strip_prefix(PREFIX)?).ok()?;
        let fits = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len());
        fits.then_some(secret)
    }

    /// Returns the headers of a request that is sent now, besides the content type. `id` stays the same for
    /// retries. Without a secret, nothing is signed.
    pub fn headers(&self, id: &str, body: &str, now: Timestamp) -> Vec<(&'static str, String)> {
        let seconds = (now.0 / 1000).to_string();
        let signed = format!("{id}.{seconds}.{body}");
        let signatures = self.keys.iter().map(|key| {
            let signature = Hs256.sign(key, signed.as_bytes());
            format!("v1,{}", Base64::encode_string(&signature.as_bytes()))
        });
        let signatures: Vec<_> = signatures.collect();
        let mut headers = vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds),
        ];
        if !signatures.is_empty() {
            headers.push(("webhook-signature", signatures.join(" ")));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_secrets_of_the_wrong_form_or_length() {
        let secret = |bytes: usize| format!("whsec_{}", Base64::encode_string(&vec![7; bytes]));
        for bytes in [24, 25, 64] {
            assert_eq!(Signer::read_secret(&secret(bytes)), Some(vec![7; bytes]));
        }
        let good = secret(24);
        for bad in [
            secret(23),
            secret(65),
            good.replace("whsec_", ""),
            good.replace("whsec_", "whsec-"),
            format!("{good}="),
            format!("{good} "),
            "whsec_".into(),
            "whsec_________________________________________".into(),
        ] {
            assert_eq!(Signer::read_secret(&bad), None, "{bad}");
        }
    }

    #[test]
    fn signs_the_id_the_time_and_the_body() {
        // Made with Python's hmac: base64(hmac(secret, b"msg_1.1800000000.{\"a\":\"\xc3\xbc\"}")).
        let secret: Vec<u8> = (0..32).collect();
        let signer = Signer::new(&[secret, vec![7; 24]]);
        let headers = signer.headers("msg_1", "{\"a\":\"ü\"}", Timestamp(1_800_000_000_999));
        assert_eq!(headers[0], ("webhook-id", "msg_1".into()));
        assert_eq!(headers[1], ("webhook-timestamp", "1800000000".into()));
        assert_eq!(headers[2], ("webhook-signature", EXPECTED.into()));
    }

    const EXPECTED: &str = "v1,y0HZk+cAClh95MYXHJmS1Y4n+665KCt+bhljrL3Uya0= v1,ck0HNflqZvBnJxAQ11/EeBmFtSvHD8HFt8Tso9b2yb0=";
}
