"""Prints tokens signed by PyJWT, and the keys that verify them, as JSON: see README.md."""

import base64
import json
import re
import secrets
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CLAIMS = {
    "sub": "ann",
    "iss": "https://issuer.example",
    "iat": int(time.time()),
    "exp": 4102444800,  # the year 2100, because recorded tokens must not expire
    "rooms": ["*"],
    "info": {"name": "安 🦀"},  # shows how the library escapes JSON
}

# The size of the hash, which is the minimum in RFC 7518.
SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}

KEYS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def with_secret(algorithm):
    secret = secrets.token_bytes(SECRET_BYTES[algorithm])
    text = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    return {
        "algorithm": algorithm,
        "secret": f"base64url:{text}",
        "token": jwt.encode(CLAIMS, secret, algorithm),
    }


def with_key(algorithm):
    key = KEYS[algorithm]()  # only the public part leaves this function
    kid = f"pyjwt-{algorithm}"
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {
        "algorithm": algorithm,
        "jwk": {"kty": jwk["kty"], "alg": algorithm, "kid": kid, "use": "sig", **jwk},
        "token": jwt.encode(CLAIMS, key, algorithm, headers={"kid": kid}),
    }


recorded = {
    "made_by": f"PyJWT {jwt.__version__}",
    "keys": [with_secret(name) for name in SECRET_BYTES] + [with_key(name) for name in KEYS],
}
# Puts a list of one item on one line, as this repository formats JSON.
print(re.sub(r"\[\s+(\S+)\s+\]", r"[\1]", json.dumps(recorded, indent=2)))
