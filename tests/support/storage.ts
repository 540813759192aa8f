// Reads and changes a Worker's storage from outside, in the database files of its rooms.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Waits while the runtime writes. The runtime does not wait: its writes fail while a test holds a lock. */
const options = { timeout: 10_000 };

/** Opens the databases of all rooms in a storage directory. The runtime creates a file for every room it starts. */
export async function roomDatabases(storage: string): Promise<DatabaseSync[]> {
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

/** Runs SQL in every room of a storage directory. */
export async function runSql(storage: string, sql: string) {
  for (const room of await roomDatabases(storage)) {
    room.exec(sql);
    room.close();
  }
}

/** A row of the table `messages`. */
export interface MessageRow {
  offset: number;
  count: number;
  json: string;
}

/** Returns the rows of the table `messages`, by offset. Meant for a storage directory with one room. */
export async function messageRows(storage: string): Promise<MessageRow[]> {
  const all: MessageRow[] = [];
  for (const room of await roomDatabases(storage)) {
    const stored = room.prepare("SELECT offset, count, json FROM messages ORDER BY offset").all();
    all.push(...stored.map((row) => ({ ...(row as unknown as MessageRow) })));
    room.close();
  }
  return all;
}
