// The pages for back ends: their examples run in order and print the output that the pages show.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "./support/client.js";
import { freePort } from "./support/ports.js";
import { startSite } from "./support/site.js";
import { SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const WEBHOOK_SECRET = `whsec_${Buffer.from(SECRET).toString("base64")}`;

/** The Worker's address in the pages. */
const URL_OF_PAGES = "https://chat.example.com";
/** The port of the receivers in the pages. */
const PORT_OF_PAGES = "3000";

/** A language and the command that runs its programs. */
interface Language {
  page: string;
  /** The info string of its code blocks. */
  fence: string;
  program: string;
  args: string[];
  extension: string;
  /** A statement that prints MARK, which ends a block's output. */
  mark: string;
}

const MARK = "-- end of block --";
const NODE: Language = {
  page: "node",
  fence: "js",
  program: process.execPath,
  args: [],
  extension: "mjs",
  mark: `console.log("${MARK}");`,
};
const PYTHON: Language = {
  page: "python",
  fence: "python",
  program: "python3",
  args: ["-u"],
  extension: "py",
  mark: `print("${MARK}")`,
};
const SHELL: Language = {
  page: "curl",
  fence: "sh",
  program: "sh",
  args: ["-u"],
  extension: "sh",
  mark: `echo "${MARK}"`,
};

/** Returns true if all tools are installed. Examples that need a missing tool are skipped, except on CI. */
const has = (...tools: string[]) =>
  Boolean(process.env.CI) ||
  tools.every((tool) => spawnSync(tool, [tool === "openssl" ? "version" : "--version"]).status === 0);

/** A code block and its expected output, the text or JSON block that follows it. */
interface Block {
  code: string;
  prints: string;
  /** The heading of its section. */
  heading: string;
  /** Its file name, if its first line is a comment with one. */
  file: string | undefined;
}

/** Returns the code blocks of a page that are in its language. */
function blocks({ page, fence }: Language): Block[] {
  const found: Block[] = [];
  let heading = "";
  const parts = /^## ([^\n]+)$|^```(\w+)\n(.*?)^```$/gms;
  for (const [, title, language, code = ""] of readFileSync(
    join(root, "docs", `${page}.md`),
    "utf8",
  ).matchAll(parts)) {
    const last = found.at(-1);
    const [, file] = /^(?:\/\/|#) ([\w-]+\.\w+)\n/.exec(code) ?? [];
    if (title !== undefined) heading = title;
    else if (heading === "")
      continue; // The installation, which another test covers.
    else if (language === fence) found.push({ code, prints: "", heading, file });
    else if (/^(text|json)$/.test(language ?? "") && last?.prints === "") last.prints = code;
    else throw new Error(`docs/${page}.md has a block that no test runs: ${code}`);
  }
  return found;
}

/** Returns true for blocks that need a receiver; "the page of curl" below runs those of the shell. */
const isAboutReceiving = ({ heading, code }: Block) =>
  /webhook|publish hook/i.test(heading) && !code.includes("dead");

/** Replaces epochs and times, which differ in each run, with placeholders. */
const comparable = (output: string) =>
  output
    .replace(/(?<="epoch":")[0-9a-f]+/g, "<epoch>")
    .replace(/\b1[0-9]{12}\b/g, "<time>")
    .trim();

/** Creates a folder from which programs can import the package. */
function folder(): string {
  mkdirSync(join(root, "target"), { recursive: true });
  const path = mkdtempSync(join(root, "target", "back-end-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** Starts a program of a page, with the environment variables that the page assumes. */
function start(language: Language, code: string, cwd: string, environment: Record<string, string> = {}) {
  const path = join(cwd, `program.${language.extension}`);
  writeFileSync(path, code);
  const { NO_COLOR: _, FORCE_COLOR: __, ...env } = process.env;
  const child = spawn(language.program, [...language.args, path], {
    cwd,
    env: { ...env, JWT_SECRET: SECRET, WEBHOOK_SECRET, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => {
    child.kill();
  });
  return child;
}

/** Runs code blocks in order as one program, and compares the output of each with the page. */
async function expectToRun(
  language: Language,
  run: Block[],
  replace: [string, string][],
  cwd = folder(),
  env = {},
) {
  let code = run.map((block) => `${block.code}\n${language.mark}\n`).join("");
  for (const [from, to] of replace) code = code.replaceAll(from, to);
  const child = start(language, code, cwd, env);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  const printed = stdout.split(`${MARK}\n`).map(comparable);
  const expected = run.map(({ prints }) => comparable(prints));
  // curl writes this after it has printed an error response.
  const errors = stderr.replace(/^curl: \(22\) The requested URL returned error: 400\n$/, "");
  expect({ printed, errors }).toEqual({ printed: [...expected, ""], errors: "" });
}

/** Waits until a program responds on a port, and returns the status. Throws if the program ends first. */
async function firstStatus(port: number, child: ChildProcess) {
  while (child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST" }).catch(() => undefined);
    if (answer) return answer.status;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the receiver ended");
}

/** Starts the receiver of a page. */
async function startReceiver(language: Language, port: number, environment?: Record<string, string>) {
  const [receiver] = blocks(language).filter(({ file }) => file?.startsWith("receive."));
  if (!receiver) throw new Error(`docs/${language.page}.md has no receiver`);
  const child = start(language, receiver.code.replace(PORT_OF_PAGES, `${port}`), folder(), environment);
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    printed += chunk;
  });
  // The request that checks if it listens has no signature.
  expect(await firstStatus(port, child)).toBe(401);
  return { url: `http://127.0.0.1:${port}/`, expected: receiver.prints, printed: () => printed };
}

/** Waits until a condition is true. */
async function until(condition: () => boolean) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.each([
  { ...NODE, isInstalled: true },
  { ...PYTHON, isInstalled: has("python3") },
  { ...SHELL, isInstalled: has("curl", "jq", "openssl") },
])("the programs in docs: $page", ({ isInstalled, ...language }) => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
  });
  afterAll(() => worker.dispose());

  it.skipIf(!isInstalled)("has examples that run and print the output it shows", async () => {
    const cho = await connect(worker, "lobby", { user: "cho" });
    const run = blocks(language).filter((block) => !block.file && !isAboutReceiving(block));
    expect(run.length).toBeGreaterThan(9);
    await expectToRun(language, run, [[URL_OF_PAGES, worker.origin]]);
    expect((await cho.closed()).code).toBe(4101);
    expect(cho.pushes.at(-1)).toMatchObject({ type: "closing", reason: "no spam, please" });
    expect(cho.pushes.filter(({ type }) => type === "message")).toMatchObject([
      { user: "server", event: "news", data: { text: "We are open" } },
      { user: "ann", data: "Hello" },
      { user: "bob", data: "Hello, Ann" },
      { user: "server", data: "Back at 9" },
    ]);
    // The page has lifted the ban.
    await connect(worker, "lobby", { user: "cho" });
  });

  it.skipIf(!isInstalled)("creates a token that grants its rooms and shows a name", async () => {
    const [mint] = blocks(language).filter(({ heading }) => /\btoken\b/.test(heading));
    const show = { js: "console.log(token);", python: "print(token)", sh: 'echo "$ann"' }[language.fence];
    const child = start(language, `${mint?.code}\n${show}\n`, folder());
    const token = (await text(child.stdout)).trim();
    for (const room of ["lobby", "team:7:general"]) {
      const { welcome } = await connect(worker, room, { token });
      expect(welcome.members).toMatchObject([{ user: "ann", info: { name: "Ann" } }]);
    }
  });
});

const RECEIVERS = [
  { ...NODE, isInstalled: true },
  { ...PYTHON, isInstalled: has("python3") },
];

describe.each(RECEIVERS)("the receiver in docs: $page", ({ isInstalled, ...language }) => {
  const BODY = JSON.stringify({
    type: "room.events",
    timestamp: "2027-01-15T08:00:05.000Z",
    data: {
      room: "lobby",
      events: [{ id: "e-1", seq: 1, type: "member.joined", time: 1_800_000_004_200, user: "小博", info: {} }],
    },
  });
  const secretOf = (letter: string) => `whsec_${Buffer.from(letter.repeat(32)).toString("base64")}`;
  const PREVIOUS = secretOf("p");
  const OTHER = secretOf("o");

  /** Returns the headers of a webhook, signed by the Standard Webhooks library. */
  function signed({ secrets = [WEBHOOK_SECRET], ageSeconds = 0, body = BODY } = {}) {
    const at = new Date(Date.now() - ageSeconds * 1000);
    return {
      "webhook-id": "msg-1",
      "webhook-timestamp": `${Math.floor(at.getTime() / 1000)}`,
      "webhook-signature": secrets.map((secret) => new Webhook(secret).sign("msg-1", at, body)).join(" "),
    };
  }

  it.skipIf(!isInstalled)(
    "accepts webhooks signed with one of its secrets and rejects all others",
    async () => {
      const receiver = await startReceiver(language, await freePort(), { WEBHOOK_SECRET_PREVIOUS: PREVIOUS });
      const post = async (headers: Record<string, string>, body = BODY) =>
        (await fetch(receiver.url, { method: "POST", headers, body })).status;
      expect(await post(signed())).toBe(200);
      expect(await post(signed({ secrets: [PREVIOUS] }))).toBe(200);
      expect(await post(signed({ secrets: [OTHER, WEBHOOK_SECRET] }))).toBe(200);
      expect(await post(signed({ ageSeconds: 290 }))).toBe(200);
      expect(await post(signed({ ageSeconds: -290 }))).toBe(200);
      expect(await post(signed({ ageSeconds: 310 }))).toBe(401);
      expect(await post(signed({ ageSeconds: -310 }))).toBe(401);
      expect(await post(signed({ secrets: [OTHER] }))).toBe(401);
      expect(await post(signed(), BODY.replace("lobby", "lobbi"))).toBe(401);
      for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
        const { [name]: _, ...headers } = signed() as Record<string, string>;
        expect(await post(headers)).toBe(401);
        expect(await post({ ...headers, [name]: "1" })).toBe(401);
      }
      // The event came five times, and the receiver handled it once.
      await until(() => receiver.printed().includes("\n"));
      expect(receiver.printed()).toBe("member.joined 小博\n");
    },
  );

  it.skipIf(!isInstalled)(
    "receives joins and leaves and decides on messages",
    async () => {
      const port = await freePort();
      const receiver = await startReceiver(language, port);
      const settings = {
        WEBHOOK_URL: receiver.url,
        PUBLISH_URL: receiver.url,
        WEBHOOK_SECRET,
        PRESENCE_GRACE_MS: 0,
      };
      await using worker = await startWorker(settings);
      const ann = await connect(worker, "lobby", { user: "ann" });
      await ann.request({ type: "publish", data: "hello" });
      const link = { type: "publish", data: "https://spam.example" };
      expect(await ann.requestError(link)).toMatchObject({ code: "refused", message: "no links, please" });
      await ann.close();
      await until(() => receiver.printed().length >= receiver.expected.length);
      expect(receiver.printed()).toBe(receiver.expected);
    },
    30_000,
  );
});

describe("docs/curl.md", () => {
  it.skipIf(!has("curl", "jq", "openssl"))("verifies a webhook and tests a receiver", async () => {
    const site = await startSite(() => ({}));
    onTestFinished(() => site.close());
    await using worker = await startWorker({ WEBHOOK_URL: site.origin, WEBHOOK_SECRET });
    await connect(worker, "lobby", { user: "ann" });
    await until(() => site.seen.length > 0);
    const { body = "", headers = {} } = site.seen[0] ?? {};

    const port = await freePort();
    const receiver = await startReceiver(NODE, port);
    const cwd = folder();
    writeFileSync(join(cwd, "body.json"), body);
    const saved = {
      id: `${headers["webhook-id"]}`,
      timestamp: `${headers["webhook-timestamp"]}`,
      signatures: `${headers["webhook-signature"]}`,
    };
    const replace: [string, string][] = [
      [URL_OF_PAGES, worker.origin],
      [`:${PORT_OF_PAGES}/`, `:${port}/`],
    ];
    await expectToRun(SHELL, blocks(SHELL).filter(isAboutReceiving), replace, cwd, saved);
    await until(() => receiver.printed() !== "");
    expect(receiver.printed()).toBe("member.joined ann\n");
  });
});
