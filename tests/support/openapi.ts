// Reads openapi.json, and checks requests and responses against it.

import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { expect } from "vitest";
import type { HttpResponse } from "./admission.js";
import type { Seen } from "./site.js";

/** The text of the file in the repository. */
export const text = readFileSync(new URL("../../openapi.json", import.meta.url), "utf8");

/** Any part of the document. */
// biome-ignore lint/suspicious/noExplicitAny: tests read it by name, and a missing name fails a test.
export type Part = any;

export const description: Part = JSON.parse(text);

/** An operation of the HTTP API. */
export interface Operation {
  id: string;
  /** The HTTP method, in capitals. */
  method: string;
  /** The path, with its parameters in braces. */
  path: string;
  /** JSON pointer to the operation. */
  pointer: string;
}

const METHODS = ["get", "put", "post", "delete", "patch"];

/** All operations except the webhooks, which the back end implements. */
export const operations: Operation[] = Object.entries<Part>(description.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method]).map((method) => ({
    id: item[method].operationId,
    method: method.toUpperCase(),
    path,
    pointer: `/paths/${escaped(path)}/${method}`,
  })),
);

/** Escapes a name for a JSON pointer. */
function escaped(name: string) {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Yields every part of the document with its JSON pointer. */
export function* parts(part: Part = description, pointer = ""): Generator<[string, Part]> {
  yield [pointer, part];
  if (typeof part !== "object" || part === null) return;
  for (const [name, inner] of Object.entries(part)) yield* parts(inner, `${pointer}/${escaped(name)}`);
}

/** Resolves a pointer, through references. Returns the final pointer and its part; fails if there is none. */
export function at(pointer: string): [string, Part] {
  const steps = pointer.split("/").slice(1);
  let part = description;
  for (const step of steps) part = part?.[step.replaceAll("~1", "/").replaceAll("~0", "~")];
  expect(part, pointer).toBeDefined();
  return part.$ref && Object.keys(part).length === 1 ? at(part.$ref.slice(1)) : [pointer, part];
}

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
// The form that JavaScript and the Worker write; RFC 3339 allows others.
ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
// The document is not a schema, but contains schemas.
ajv.addVocabulary(Object.keys(description));
ajv.addSchema(description, "described");
ajv.addSchema(closed(description), "exact");

/** Forbids undescribed fields: later versions may add fields, but this version sends only described ones. */
function closed(part: Part, name = ""): Part {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map((inner) => closed(inner));
  const inner = Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, closed(inner, name)]));
  // Other schemas include Problem by `allOf`.
  const isWhole = (part.type === "object" && part.properties && name !== "Problem") || part.allOf;
  return isWhole && part.additionalProperties === undefined
    ? { ...inner, unevaluatedProperties: false }
    : inner;
}

const compiled = new Map<string, ValidateFunction>();

/** Checks a value against the schema at a pointer. `exact` rejects fields that the schema does not describe. */
export function expectValid(value: unknown, pointer: string, schema: "described" | "exact" = "exact") {
  const id = `${schema}#${pointer}`;
  const validate = compiled.get(id) ?? ajv.compile({ $ref: id });
  compiled.set(id, validate);
  validate(value);
  expect(validate.errors, `${pointer}: ${JSON.stringify(value)}`).toBeNull();
}

/** Checks a response against the description of its operation. Returns its body. */
export function expectDescribed({ id, pointer }: Operation, answer: HttpResponse): Part {
  const [, { responses }] = at(pointer);
  expect(responses, `${id}: ${answer.body}`).toHaveProperty(`${answer.status}`);
  const [found, { headers = {}, content }] = at(`${pointer}/responses/${answer.status}`);
  for (const name of Object.keys(headers)) expectHeader(name, answer, `${found}/headers/${name}`);
  const [type = ""] = Object.keys(content);
  expect(answer.headers["content-type"], id).toBe(type);
  const body = JSON.parse(answer.body);
  expectValid(body, `${found}/content/${escaped(type)}/schema`);
  return body;
}

/** Checks a request from the Worker against the description of its webhook. Returns its body. */
export function expectWebhookRequest(webhook: string, seen: Seen): Part {
  const [pointer, { parameters }] = at(`/webhooks/${webhook}/post`);
  expect(seen.method).toBe("POST");
  for (const index of Object.keys(parameters)) {
    const [where, { name }] = at(`${pointer}/parameters/${index}`);
    expectHeader(name, seen, where);
  }
  expect(seen.headers["content-type"]).toBe("application/json");
  const body = JSON.parse(seen.body);
  expectValid(body, `${pointer}/requestBody/content/application~1json/schema`);
  return body;
}

function expectHeader(name: string, { headers }: Pick<HttpResponse | Seen, "headers">, pointer: string) {
  const [where, { required, schema }] = at(pointer);
  const value = headers[name.toLowerCase()];
  if (required) expect(value, name).toBeDefined();
  if (value !== undefined) expectValid(schema.type === "integer" ? Number(value) : value, `${where}/schema`);
}

/** Returns the refusal codes of an operation, with their statuses. */
export const codes = ({ pointer }: Operation): [number, string][] =>
  Object.keys(at(pointer)[1].responses).flatMap((status) => {
    const [, { content }] = at(`${pointer}/responses/${status}`);
    const code = content?.["application/problem+json"]?.schema.properties.code;
    const names: string[] = code ? (code.enum ?? [code.const]) : [];
    return names.map((name): [number, string] => [Number(status), name]);
  });
