// Runs Schemathesis, which generates requests from openapi.json and checks the responses against it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { schemathesisPython } from "../../scripts/requirements/schemathesis.mjs";

/** True if the tests that need Schemathesis run: if it is installed, and always on CI. */
export const hasSchemathesis = Boolean(process.env.CI) || existsSync(schemathesisPython);

/** The outcome of a run. */
export interface Outcome {
  /** The exit code: 0 if there are no failures. */
  code: number;
  /** Schemathesis's output. */
  log: string;
  /** All requests, with the statuses of their responses. */
  exchanges: Exchange[];
}

/** A request and the status of its response. */
export interface Exchange {
  method: string;
  /** The path, without the query. */
  path: string;
  status: number;
}

/** Runs Schemathesis against the Worker at an origin, configured by tests/schemathesis/schemathesis.toml. */
export async function runSchemathesis(origin: string, options: string[]): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), "snug-schemathesis-"));
  const run = ["-m", "schemathesis.cli", "run", description, "--url", origin, "--no-color"];
  const report = ["--report", "har", "--report-dir", directory];
  const program = spawn(schemathesisPython, [...run, ...report, ...options], {
    cwd: configured,
    env: { ...process.env, HYPOTHESIS_STORAGE_DIRECTORY: characters, PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [log, [code]] = await Promise.all([text(program.stdout), once(program, "close")]);
  const files = (await readdir(directory)).filter((name) => name.startsWith("har-"));
  const reports = await Promise.all(files.map((name) => readFile(join(directory, name), "utf8")));
  await rm(directory, { recursive: true });
  return { code, log, exchanges: reports.flatMap(exchangesIn) };
}

const description = fileURLToPath(new URL("../../openapi.json", import.meta.url));
/** The folder for Hypothesis's tables of Unicode characters, which take seconds to compute. */
const characters = fileURLToPath(new URL("../../target/hypothesis", import.meta.url));
const configured = fileURLToPath(new URL("../schemathesis", import.meta.url));

interface Entry {
  request: { method: string; url: string };
  response: { status: number };
}

const exchangesIn = (har: string): Exchange[] =>
  JSON.parse(har).log.entries.map(({ request, response }: Entry) => ({
    method: request.method,
    path: new URL(request.url).pathname,
    status: response.status,
  }));
