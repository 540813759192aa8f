// Runs the examples of docs/symfony.md in a real Symfony application against the built Worker.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connect } from "./support/client.js";
import { hasFrameworks, type PhpSite, startPhp } from "./support/php.js";
import { freePort } from "./support/ports.js";
import { SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The files of a new Symfony application that the examples need. */
const SKELETON: Record<string, string> = {
  "vendor/autoload.php": `<?php
    require_once ${JSON.stringify(join(root, "php/autoload.php"))};
    foreach (['Bundle/FrameworkBundle', 'Bundle/SecurityBundle', 'Component/Yaml', 'Component/Mercure'] as $name) {
        require_once "Symfony/$name/autoload.php";
    }
    spl_autoload_register(static function (string $class): void {
        if (str_starts_with($class, 'App\\\\')) {
            require dirname(__DIR__) . '/src/' . str_replace('\\\\', '/', substr($class, 4)) . '.php';
        }
    });
    // Symfony 6.4 moved it.
    if (!class_exists(Symfony\\Component\\Routing\\Attribute\\Route::class)) {
        class_alias(
            Symfony\\Component\\Routing\\Annotation\\Route::class,
            Symfony\\Component\\Routing\\Attribute\\Route::class,
        );
    }`,
  "public/index.php": `<?php
    require dirname(__DIR__) . '/vendor/autoload.php';
    $kernel = new App\\Kernel('prod', false);
    $request = Symfony\\Component\\HttpFoundation\\Request::createFromGlobals();
    $response = $kernel->handle($request);
    $response->send();
    $kernel->terminate($request, $response);`,
  "notify.php": `<?php
    require __DIR__ . '/vendor/autoload.php';
    $kernel = new App\\Kernel('prod', false);
    $kernel->boot();
    $kernel->getContainer()->get('test.notifier')->shipped(7, 'ann');`,
  "src/Kernel.php": `<?php
    namespace App;
    final class Kernel extends \\Symfony\\Component\\HttpKernel\\Kernel
    {
        use \\Symfony\\Bundle\\FrameworkBundle\\Kernel\\MicroKernelTrait;
        public function getProjectDir(): string { return dirname(__DIR__); }
    }`,
  "src/Log.php": `<?php
    namespace App;
    final class Log implements \\Symfony\\Component\\EventDispatcher\\EventSubscriberInterface
    {
        public static function getSubscribedEvents(): array { return [Event\\RoomChanged::class => 'note']; }
        public function note(Event\\RoomChanged $changed): void
        {
            $line = "{$changed->event->type} {$changed->event->user} $changed->room\\n";
            file_put_contents(dirname(__DIR__) . '/log.txt', $line, FILE_APPEND);
        }
    }`,
  "config/bundles.php": `<?php
    return [
        Symfony\\Bundle\\FrameworkBundle\\FrameworkBundle::class => ['all' => true],
        Symfony\\Bundle\\SecurityBundle\\SecurityBundle::class => ['all' => true],
    ];`,
  "config/packages/framework.yaml": `
framework:
    secret: test
    router: { utf8: true }
    http_client: { default_options: { max_duration: 10 } }
`,
  "config/packages/security.yaml": `
security:
    enable_authenticator_manager: true
    password_hashers: { Symfony\\Component\\Security\\Core\\User\\InMemoryUser: plaintext }
    providers:
        users: { memory: { users: { ann: { password: secret, roles: [ROLE_USER] } } } }
    firewalls:
        snug: { pattern: ^/snug/, security: false }
        main: { http_basic: ~, provider: users }
    access_control:
        - { path: ^/, roles: ROLE_USER }
`,
  "config/packages/test.yaml": `
services:
    test.notifier: { alias: App\\OrderNotifier, public: true }
`,
  "config/routes.yaml": `
controllers: { resource: ../src/Controller/, type: annotation }
`,
};

describe.skipIf(!hasFrameworks)("docs/symfony.md", { timeout: 30_000 }, () => {
  let folder: string;
  let worker: Worker;
  let php: PhpSite;
  let variables: Record<string, string>;
  /** The example of Mercure. */
  let before = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "snug-symfony-"));
    const files = new Map(Object.entries(SKELETON));
    const text = await readFile(join(root, "docs/symfony.md"), "utf8");
    for (const [, code = ""] of text.matchAll(/^```(?:php|yaml)\n(.*?)^```$/gms)) {
      const [, name = ""] = /^(?:<\?php\n\/\/|#) (.+)\n/.exec(code) ?? [];
      if (name.startsWith("before, ")) before = code;
      else files.set(name, code);
    }
    for (const [name, code] of files) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), code);
    }
    const port = await freePort();
    const site = `http://127.0.0.1:${port}`;
    const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
    worker = await startWorker({
      WEBHOOK_URL: `${site}/snug/webhook`,
      WEBHOOK_SECRET,
      PUBLISH_URL: `${site}/snug/publish-hook`,
      PRESENCE_GRACE_MS: 0,
    });
    variables = { SNUG_URL: worker.origin, SNUG_JWT_SECRET: SECRET, SNUG_WEBHOOK_SECRET: WEBHOOK_SECRET };
    php = await startPhp({}, { folder: join(folder, "public"), env: variables, port });
    // Builds the container, which the publish hook would not wait for.
    await fetch(`${site}/snug-token`);
  }, 60_000);
  afterAll(async () => {
    await worker?.dispose();
    await php?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** Runs a PHP file or code, and fails if it prints anything. */
  function run(...args: string[]) {
    const done = spawnSync("php", ["-d", "error_reporting=-1", "-d", "display_errors=stderr", ...args], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, ...variables },
    });
    expect(done.stdout + done.stderr).toBe("");
    expect(done.status).toBe(0);
  }

  const getToken = (password: string) =>
    fetch(`${php.origin}/snug-token`, { headers: { Authorization: `Basic ${btoa(`ann:${password}`)}` } });

  it("has a route that gives tokens to users of the firewall", async () => {
    expect((await getToken("wrong")).status).toBe(401);
    const response = await getToken("secret");
    expect(response.headers.get("cache-control")).toContain("no-store");
    const ann = await connect(worker, "orders:ann", { token: await response.text() });
    expect(ann.welcome).toMatchObject({ user: "ann", members: [{ info: { name: "Ann" } }] });
  });

  it("has a service that publishes once", async () => {
    const ann = await connect(worker, "orders:ann", { user: "ann" });
    run("notify.php");
    run("notify.php");
    expect(await ann.next("message")).toMatchObject({ event: "shipped", user: "server", data: { order: 7 } });
    expect((await ann.drain()).filter(({ type }) => type === "message")).toEqual([]);
  });

  it("has a webhook that dispatches events", async () => {
    const bob = await connect(worker, "lobby", { user: "bob" });
    await bob.close();
    const log = () =>
      existsSync(join(folder, "log.txt")) ? readFileSync(join(folder, "log.txt"), "utf8") : "";
    await vi.waitFor(
      () => expect(log()).toMatch(/member\.joined bob lobby\n(.*\n)*member\.left bob lobby\n/),
      10_000,
    );
    const refused = await fetch(`${php.origin}/snug/webhook`, { method: "POST", body: "{}" });
    expect(refused.status).toBe(401);
  });

  it("has a publish hook that refuses messages", async () => {
    const cho = await connect(worker, "lobby", { user: "cho" });
    expect(await cho.requestError({ type: "publish", id: 1, data: 7 })).toMatchObject({
      code: "refused",
      message: "text must be a string",
    });
    await cho.request({ type: "publish", data: { text: "hello" } });
    const refused = await fetch(`${php.origin}/snug/publish-hook`, { method: "POST", body: "{}" });
    expect(refused.status).toBe(401);
  });

  it("shows the service with Mercure as its component has it", async () => {
    await writeFile(join(folder, "before.php"), before);
    const code = `
      require 'vendor/autoload.php';
      require 'before.php';
      use Symfony\\Component\\Mercure\\{Jwt\\StaticTokenProvider, MockHub, Update};
      $published = [];
      $hub = new MockHub('https://hub.example', new StaticTokenProvider('token'), function (Update $update) use (&$published) {
        $published[] = [$update->getTopics(), $update->getData(), $update->isPrivate(), $update->getType()];
        return 'id';
      });
      (new App\\Before\\OrderNotifier($hub))->shipped(7, 'ann');
      assert($published === [[['https://example.com/orders/ann'], '{"order":7}', true, 'shipped']]);`;
    run("-d", "zend.assertions=1", "-r", code);
  });
});
