"""Prints the JWS vectors of Project Wycheproof for the algorithms that Snug supports, as JSON: see README.md.

Argument: Wycheproof's json_web_signature_test.json.
"""

import json
import re
import sys

ALGORITHMS = {"HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"}
KINDS = {("oct", None), ("RSA", None), ("EC", "P-256"), ("OKP", "Ed25519")}
# Groups with tokens of another algorithm than the key's are kept, whatever the key's algorithm is.
MISMATCHES = {"WrongPrimitive", "AlgIsNone"}


def is_relevant(group):
    key = group.get("public") or group["private"]
    if (key["kty"], key.get("crv")) not in KINDS:
        return False
    mismatched = any(MISMATCHES.intersection(test["flags"]) for test in group["tests"])
    return mismatched or "alg" not in key or key["alg"] in ALGORITHMS


def trimmed(group):
    # Drops the private key if there is a public one; a secret has none.
    half = "public" if "public" in group else "private"
    names = ("tcId", "comment", "jws", "result", "flags")
    tests = [{name: test[name] for name in names} for test in group["tests"]]
    return {"comment": group["comment"], half: group[half], "tests": tests}


with open(sys.argv[1], encoding="utf-8") as file:
    groups = json.load(file)["testGroups"]
recorded = {
    "made_from": "C2SP/wycheproof, testvectors_v1/json_web_signature_test.json, Apache-2.0",
    "groups": [trimmed(group) for group in groups if is_relevant(group)],
}
# Puts a list of one item on one line, as this repository formats JSON.
print(re.sub(r'\[\s+("\w+")\s+\]', r"[\1]", json.dumps(recorded, indent=2, ensure_ascii=False)))
