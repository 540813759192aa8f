// The README's settings for each identity provider, with keys and tokens in the provider's format.

import { readFileSync } from "node:fs";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { expect, it } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startSite } from "./support/site.js";
import { startWorker } from "./support/worker.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** Returns the settings of a provider from the table in the README. */
function settingsOf(provider: string): Record<string, string> {
  const row = new RegExp(`^\\| \\[${provider}\\]\\([^)]+\\) \\| (.+?) \\| (.+?) \\|`, "m").exec(readme);
  const [names = [], values = []] = (row ?? []).slice(1).map((cell) => cell.split("<br>"));
  return Object.fromEntries(
    names.map((name, index) => [name.replaceAll("`", ""), (values[index] ?? "").replaceAll("`", "")]),
  );
}

const certificate = { x5c: ["MIIC"], x5t: "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg" };

/** The format of each provider's keys and tokens, according to its documentation. */
const providers: {
  name: string;
  alg: string;
  key: object;
  others?: JWK[];
  header?: object;
  claims?: object;
}[] = [
  {
    name: "Auth0",
    alg: "RS256",
    key: { use: "sig", alg: "RS256", ...certificate },
    header: { typ: "JWT" },
    claims: {
      aud: ["https://api.example", "https://tenant.auth0.com/userinfo"],
      azp: "client",
      scope: "openid",
    },
  },
  {
    name: "Clerk",
    alg: "RS256",
    key: { use: "sig", alg: "RS256" },
    header: { typ: "JWT", cat: "cl_B7d4PD111AAA" },
    claims: { azp: "https://app.example", fva: [0, -1], sid: "sess_1", v: 2 },
  },
  {
    name: "Supabase",
    alg: "ES256",
    key: { alg: "ES256", ext: true, key_ops: ["verify"], use: "sig" },
    header: { typ: "JWT" },
    claims: { aud: "authenticated", role: "authenticated", aal: "aal1", is_anonymous: false },
  },
  {
    name: "Keycloak",
    alg: "RS256",
    key: { use: "sig", alg: "RS256", ...certificate, "x5t#S256": "x".repeat(43) },
    others: [{ kty: "RSA", use: "enc", alg: "RSA-OAEP", kid: "encryption", n: "AQAB", e: "AQAB" }],
    header: { typ: "JWT" },
    claims: { aud: ["snug", "account"], typ: "Bearer", realm_access: { roles: ["user"] } },
  },
];

it.each(providers)("accepts the tokens of $name with the README's settings", async (provider) => {
  const settings = settingsOf(provider.name);
  const address = new URL(settings.JWKS_URL ?? "");
  // The key set and the issuer are on the same host.
  expect(new URL(settings.JWT_ISSUER ?? "").host).toBe(address.host);
  const { publicKey, privateKey } = await generateKeyPair(provider.alg);
  const kid = "key:1";
  const key = { ...(await exportJWK(publicKey)), ...provider.key, kid };
  const set = JSON.stringify({ keys: [...(provider.others ?? []), key] });
  await using site = await startSite(({ path }) =>
    path === address.pathname
      ? { body: set, headers: { "content-type": "application/json" } }
      : { status: 404 },
  );
  const audience = settings.JWT_AUDIENCE && [(provider.claims as { aud: string }).aud].flat()[0];
  await using worker = await startWorker({
    ...settings,
    JWT_SECRET: undefined,
    JWKS_URL: `${site.origin}${address.pathname}`,
    JWT_AUDIENCE: audience,
  });
  const sign = (issuer = "") =>
    new SignJWT({ ...provider.claims, rooms: ["lobby"] })
      .setProtectedHeader({ ...provider.header, alg: provider.alg, kid })
      .setSubject("auth0|5f7c8ec7c33c6c004bbafe82")
      .setIssuer(issuer)
      .setIssuedAt()
      .setExpirationTime("5m")
      .sign(privateKey);
  const token = await sign(settings.JWT_ISSUER);
  expect((await connect(worker, "lobby", { token })).welcome.user).toBe("auth0|5f7c8ec7c33c6c004bbafe82");
  expect(JSON.parse((await joinRefusal(worker, newRoom(), { token })).body).code).toBe("room_forbidden");
  const foreign = await sign("https://other.example/");
  expect(JSON.parse((await joinRefusal(worker, "lobby", { token: foreign })).body).code).toBe(
    "token_invalid",
  );
});
