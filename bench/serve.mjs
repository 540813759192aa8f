// `node bench/serve.mjs SERVER [OPTIONS AS JSON]`: one of the servers that the benchmark compares.
// Prints one line of JSON, with its address, the process whose cost counts and where it stores what it stores, and
// runs until standard input closes or it is told to end.

const [name = "", options = "{}"] = process.argv.slice(2);

const { start } = await import(`./servers/${name}.mjs`);
const { url, pid = process.pid, storage, stop } = await start(JSON.parse(options));

let stopping = false;
async function end() {
  if (stopping) return;
  stopping = true;
  // Miniflare kills its runtime when this process exits, however that comes.
  setTimeout(() => process.exit(1), 10_000);
  await stop?.();
  process.exit(0);
}

process.stdin.on("end", end).resume();
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, end);

console.log(JSON.stringify({ url, pid, storage }));
