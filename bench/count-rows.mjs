// `node bench/count-rows.mjs STORAGE`: prints the number of rows in the `messages` tables of Snug's rooms, whose
// databases are in the folder STORAGE.

import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const [storage = ""] = process.argv.slice(2);

// Reads a copy, because the runtime still has the files open.
const copy = mkdtempSync(join(dirname(storage), "copy-"));
try {
  cpSync(storage, copy, { recursive: true });
  const files = readdirSync(copy, { recursive: true, encoding: "utf8" });
  let rows = 0;
  for (const file of files.filter((name) => name.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(copy, file));
    const [table] = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'messages'").all();
    if (table) rows += Number(database.prepare("SELECT count(*) AS rows FROM messages").get()?.rows);
    database.close();
  }
  console.log(rows);
} finally {
  rmSync(copy, { recursive: true, force: true });
}
