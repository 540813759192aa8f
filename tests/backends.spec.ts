// The pages for back ends: their examples run, one after the other, and print what the pages say.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "./support/client.js";
import { startSite } from "./support/site.js";
import { SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const WEBHOOK_SECRET = `whsec_${Buffer.from(SECRET).toString("base64")}`;

/** Where the pages say that the Worker is. */
const URL_OF_PAGES = "https://chat.example.com";
/** Where the pages say that their receivers listen. */
const PORT_OF_PAGES = "3000";

/** A language, and how a program in it is run. */
interface Language {
  page: string;
  /** What its blocks are marked with. */
  fence: string;
  program: string;
  args: string[];
  extension: string;
  /** Prints what ends a block's output. */
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

/** Where a tool can't be had its examples are not run, but CI has all. */
const has = (...tools: string[]) =>
  Boolean(process.env.CI) ||
  tools.every((tool) => spawnSync(tool, [tool === "openssl" ? "version" : "--version"]).status === 0);

/** A fenced block, and what follows it as what it prints. */
interface Block {
  code: string;
  prints: string;
  /** The heading that it stands under. */
  heading: string;
  /** Where its first line says that it is a file of its own. */
  file: string | undefined;
}

/** The blocks of a page in its language. A block of text or JSON is what was printed by the one before it. */
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
      continue; // How the package is installed, which a test of its own tries.
    else if (language === fence) found.push({ code, prints: "", heading, file });
    else if (/^(text|json)$/.test(language ?? "") && last?.prints === "") last.prints = code;
    else throw new Error(`docs/${page}.md has a block that nobody runs: ${code}`);
  }
  return found;
}

/** What a shell can't receive, it tries on others: see below. */
const isAboutReceiving = ({ heading, code }: Block) =>
  /^(Receive|Judge)/.test(heading) && !code.includes("dead");

/** A text in which times and names that are made up anew each time are none in particular. */
const comparable = (output: string) =>
  output
    .replace(/(?<="epoch":")[0-9a-f]+/g, "<epoch>")
    .replace(/\b1[0-9]{12}\b/g, "<time>")
    .trim();

/** A folder for programs, in which they find the package. */
function folder(): string {
  mkdirSync(join(root, "target"), { recursive: true });
  const path = mkdtempSync(join(root, "target", "back-end-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** Runs a program of a page, with what a page takes for granted in its environment. */
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

/** Runs a page's blocks one after the other as one program, and compares what each prints with what the page says. */
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
  const said = run.map(({ prints }) => comparable(prints));
  // That is how curl says that what it printed is a refusal.
  const complaints = stderr.replace(/^curl: \(22\) The requested URL returned error: 400\n$/, "");
  expect({ printed, complaints }).toEqual({ printed: [...said, ""], complaints: "" });
}

/** A port at which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

/** Waits until somebody listens at a port, or the program that should has ended. */
async function listens(port: number, child: ChildProcess) {
  while (child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST" }).catch(() => undefined);
    if (answer) return answer.status;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the receiver has ended");
}

/** Starts the receiver that a page shows. */
async function startReceiver(language: Language, port: number, environment?: Record<string, string>) {
  const [receiver] = blocks(language).filter(({ file }) => file?.startsWith("receive."));
  if (!receiver) throw new Error(`docs/${language.page}.md shows no receiver`);
  const child = start(language, receiver.code.replace(PORT_OF_PAGES, `${port}`), folder(), environment);
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    printed += chunk;
  });
  // Nobody has signed what is sent to find out whether it is there.
  expect(await listens(port, child)).toBe(401);
  return { url: `http://127.0.0.1:${port}/`, said: receiver.prints, printed: () => printed };
}

/** Waits until something is so. */
async function until(isSo: () => boolean) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.each([
  { ...NODE, isHere: true },
  { ...PYTHON, isHere: has("python3") },
  { ...SHELL, isHere: has("curl", "jq", "openssl") },
])("the page of $page", ({ isHere, ...language }) => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
  });
  afterAll(() => worker.dispose());

  it.skipIf(!isHere)("does with rooms what it says, and prints it", async () => {
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
    // The ban was lifted.
    await connect(worker, "lobby", { user: "cho" });
  });

  it.skipIf(!isHere)("makes a token that lets its user in, with a name to show", async () => {
    const [mint] = blocks(language).filter(({ heading }) => heading === "Give a user a token");
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
  { ...NODE, isHere: true },
  { ...PYTHON, isHere: has("python3") },
];

describe.each(RECEIVERS)("the receiver in $page", ({ isHere, ...language }) => {
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

  /** A webhook as the library of Standard Webhooks signs it. */
  function signed({ secrets = [WEBHOOK_SECRET], ageSeconds = 0, body = BODY } = {}) {
    const at = new Date(Date.now() - ageSeconds * 1000);
    return {
      "webhook-id": "msg-1",
      "webhook-timestamp": `${Math.floor(at.getTime() / 1000)}`,
      "webhook-signature": secrets.map((secret) => new Webhook(secret).sign("msg-1", at, body)).join(" "),
    };
  }

  it.skipIf(!isHere)("believes what is signed with a secret of its own, and nothing else", async () => {
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
    // It came five times, and counts once.
    await until(() => receiver.printed().includes("\n"));
    expect(receiver.printed()).toBe("member.joined 小博\n");
  });

  it.skipIf(!isHere)(
    "is told who comes and goes, and judges what they publish",
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
      expect(await ann.refusal(link)).toMatchObject({ code: "refused", message: "no links, please" });
      await ann.close();
      await until(() => receiver.printed().includes("room.vacated"));
      expect(receiver.printed()).toBe(receiver.said);
    },
    30_000,
  );
});

describe("the page of curl", () => {
  it.skipIf(!has("curl", "jq", "openssl"))("looks into a webhook, and tries a receiver", async () => {
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
    const kept = {
      id: `${headers["webhook-id"]}`,
      timestamp: `${headers["webhook-timestamp"]}`,
      signatures: `${headers["webhook-signature"]}`,
    };
    const replace: [string, string][] = [
      [URL_OF_PAGES, worker.origin],
      [`:${PORT_OF_PAGES}/`, `:${port}/`],
    ];
    await expectToRun(SHELL, blocks(SHELL).filter(isAboutReceiving), replace, cwd, kept);
    await until(() => receiver.printed() !== "");
    expect(receiver.printed()).toBe("member.joined ann\n");
  });
});
