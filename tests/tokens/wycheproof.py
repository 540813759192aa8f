"""The JWS vectors of Project Wycheproof that concern Snug's algorithms, as JSON: see README.md.

Argument: Wycheproof's json_web_signature_test.json.
"""

import json
import re
import sys

ALGORITHMS = {"HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"}
KINDS = {("oct", None), ("RSA", None), ("EC", "P-256"), ("OKP", "Ed25519")}
# Tokens of another algorithm than the key's are worth keeping whatever the key's is.
MISMATCHES = {"WrongPrimitive", "AlgIsNone"}


def wanted(group):
    key = group.get("public") or group["private"]
    if (key["kty"], key.get("crv")) not in KINDS:
        return False
    mismatched = any(MISMATCHES.intersection(test["flags"]) for test in group["tests"])
    return mismatched or "alg" not in key or key["alg"] in ALGORITHMS


def kept(group):
    # A private key is dropped wherever there is a public one; a secret has none.
    half = "public" if "public" in group else "private"
    names = ("tcId", "comment", "jws", "result", "flags")
    tests = [{name: test[name] for name in names} for test in group["tests"]]
    return {"comment": group["comment"], half: group[half], "tests": tests}


with open(sys.argv[1], encoding="utf-8") as file:
    groups = json.load(file)["testGroups"]
recorded = {
    "made_from": "C2SP/wycheproof, testvectors_v1/json_web_signature_test.json, Apache-2.0",
    "groups": [kept(group) for group in groups if wanted(group)],
}
# A list of one goes on one line, as this repository formats JSON.
print(re.sub(r'\[\s+("\w+")\s+\]', r"[\1]", json.dumps(recorded, indent=2, ensure_ascii=False)))
