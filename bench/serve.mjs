// `node bench/serve.mjs SERVER [SETTINGS]`: runs one of the servers in bench/servers, with SETTINGS as JSON. Prints
// one line of JSON: its URL, the id of the process to measure, and its storage folder. Stops when standard input
// closes, or on SIGINT or SIGTERM.

const [name = "", settings = "{}"] = process.argv.slice(2);

const { start } = await import(`./servers/${name}.mjs`);
const { url, pid = process.pid, storage, stop } = await start(JSON.parse(settings));

let stopping = false;
async function shutDown() {
  if (stopping) return;
  stopping = true;
  // Exits even if stopping hangs. Miniflare kills its runtime when this process exits.
  setTimeout(() => process.exit(1), 10_000);
  await stop?.();
  process.exit(0);
}

process.stdin.on("end", shutDown).resume();
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, shutDown);

console.log(JSON.stringify({ url, pid, storage }));
