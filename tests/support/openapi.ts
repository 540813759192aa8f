// openapi.json, and whether an answer is one of those that it describes.

import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { expect } from "vitest";
import type { Answer } from "./door.js";
import type { Seen } from "./site.js";

/** As it is in the repository. */
export const text = readFileSync(new URL("../../openapi.json", import.meta.url), "utf8");

/** Any part of it. */
// biome-ignore lint/suspicious/noExplicitAny: it is looked into by name, and a name that is not there fails a test.
export type Part = any;

export const description: Part = JSON.parse(text);

/** What can be asked for. */
export interface Operation {
  id: string;
  /** In capitals. */
  method: string;
  /** With its parameters in braces. */
  path: string;
  /** Where it is in the description. */
  pointer: string;
}

const METHODS = ["get", "put", "post", "delete", "patch"];

/** All of them, the back end's own (webhooks) aside. */
export const operations: Operation[] = Object.entries<Part>(description.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method]).map((method) => ({
    id: item[method].operationId,
    method: method.toUpperCase(),
    path,
    pointer: `/paths/${escaped(path)}/${method}`,
  })),
);

/** A name as a JSON pointer has it. */
function escaped(name: string) {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Every part, with the pointer to it. */
export function* parts(part: Part = description, pointer = ""): Generator<[string, Part]> {
  yield [pointer, part];
  if (typeof part !== "object" || part === null) return;
  for (const [name, inner] of Object.entries(part)) yield* parts(inner, `${pointer}/${escaped(name)}`);
}

/** What is at a pointer, and at which one it really is. Fails where nothing is. */
export function at(pointer: string): [string, Part] {
  const steps = pointer.split("/").slice(1);
  let part = description;
  for (const step of steps) part = part?.[step.replaceAll("~1", "/").replaceAll("~0", "~")];
  expect(part, pointer).toBeDefined();
  return part.$ref && Object.keys(part).length === 1 ? at(part.$ref.slice(1)) : [pointer, part];
}

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
// As JavaScript and the Worker write it; RFC 3339 has more.
ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
// The document is no schema itself, but has them in it.
ajv.addVocabulary(Object.keys(description));
ajv.addSchema(description, "described");
ajv.addSchema(closed(description), "exact");

/** What is there may be more in a later version, and clients are told so; but what this one sends is all described. */
function closed(part: Part, name = ""): Part {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map((inner) => closed(inner));
  const inner = Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, closed(inner, name)]));
  // A problem is part of others, by `allOf`.
  const isWhole = (part.type === "object" && part.properties && name !== "Problem") || part.allOf;
  return isWhole && part.additionalProperties === undefined
    ? { ...inner, unevaluatedProperties: false }
    : inner;
}

const compiled = new Map<string, ValidateFunction>();

/** Holds a value to the schema at a pointer: `exact` if it has to be without anything more. */
export function expectValid(value: unknown, pointer: string, schema: "described" | "exact" = "exact") {
  const id = `${schema}#${pointer}`;
  const validate = compiled.get(id) ?? ajv.compile({ $ref: id });
  compiled.set(id, validate);
  validate(value);
  expect(validate.errors, `${pointer}: ${JSON.stringify(value)}`).toBeNull();
}

/** Holds an answer to what is said of an operation. Gives its body. */
export function expectDescribed({ id, pointer }: Operation, answer: Answer): Part {
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

/** Holds a request of the Worker's to what is said of a webhook. Gives its body. */
export function expectAsked(webhook: string, seen: Seen): Part {
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

function expectHeader(name: string, { headers }: Pick<Answer | Seen, "headers">, pointer: string) {
  const [where, { required, schema }] = at(pointer);
  const value = headers[name.toLowerCase()];
  if (required) expect(value, name).toBeDefined();
  if (value !== undefined) expectValid(schema.type === "integer" ? Number(value) : value, `${where}/schema`);
}

/** The codes with which an operation may be refused, with their statuses. */
export const codes = ({ pointer }: Operation): [number, string][] =>
  Object.keys(at(pointer)[1].responses).flatMap((status) => {
    const [, { content }] = at(`${pointer}/responses/${status}`);
    const code = content?.["application/problem+json"]?.schema.properties.code;
    const names: string[] = code ? (code.enum ?? [code.const]) : [];
    return names.map((name): [number, string] => [Number(status), name]);
  });
