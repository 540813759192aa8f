// What a Worker has stored, seen from outside: the database files of its rooms.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Waits for the runtime where it is writing. It does not wait for us: what it writes meanwhile is refused. */
const options = { timeout: 10_000 };

/** The databases of all rooms in a storage: the runtime has a file for each that was ever asked. */
export async function databases(storage: string): Promise<DatabaseSync[]> {
  const files = await readdir(storage, { recursive: true });
  const rooms = [];
  for (const file of files.filter((name) => /[0-9a-f]{64}\.sqlite$/.test(name))) {
    const database = new DatabaseSync(join(storage, file), options);
    const isRoom = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'messages'").get();
    if (isRoom) rooms.push(database);
    else database.close();
  }
  return rooms;
}

/** Runs SQL in the one room of a storage. */
export async function run(storage: string, sql: string) {
  for (const room of await databases(storage)) {
    room.exec(sql);
    room.close();
  }
}

/** A row of messages. */
export interface Row {
  offset: number;
  count: number;
  json: string;
}

/** The rows in which the one room of a storage has its messages. */
export async function rows(storage: string): Promise<Row[]> {
  const all: Row[] = [];
  for (const room of await databases(storage)) {
    const stored = room.prepare("SELECT offset, count, json FROM messages ORDER BY offset").all();
    all.push(...stored.map((row) => ({ ...(row as unknown as Row) })));
    room.close();
  }
  return all;
}
