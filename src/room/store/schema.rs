//! The schema of the room's database.

/// The migrations of the schema, one for each version. Only append to this list.
pub const MIGRATIONS: [&str; 15] = [
    "
    CREATE TABLE messages (offset INTEGER PRIMARY KEY, time INTEGER NOT NULL, json TEXT NOT NULL);
    CREATE TABLE absences (user TEXT PRIMARY KEY, since INTEGER NOT NULL, info TEXT, until INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "
    ALTER TABLE messages ADD COLUMN bytes_before INTEGER NOT NULL DEFAULT 0;
    UPDATE messages SET bytes_before = running.bytes FROM (
        SELECT offset, coalesce(sum(octet_length(json)) OVER (
            ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS bytes FROM messages
    ) AS running WHERE running.offset = messages.offset;
    ",
    "
    ALTER TABLE messages ADD COLUMN user TEXT;
    ALTER TABLE messages ADD COLUMN key TEXT;
    ",
    "
    ALTER TABLE messages ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE messages ADD COLUMN keys TEXT;
    UPDATE messages SET keys = json_array(json_array(offset, time, user, key)) WHERE key IS NOT NULL;
    ALTER TABLE messages DROP COLUMN user;
    ALTER TABLE messages DROP COLUMN key;
    ",
    "
    CREATE TABLE bans (user TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "
    CREATE TABLE events (seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL, bytes_before INTEGER NOT NULL, epoch TEXT, lines TEXT NOT NULL);
    CREATE TABLE dead_events (seq INTEGER PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE told (user TEXT PRIMARY KEY) WITHOUT ROWID;
    ",
    "ALTER TABLE told RENAME TO notified_members",
    "
    CREATE TABLE ended_tokens (user TEXT PRIMARY KEY, issued_before INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "
    CREATE TABLE event_shares (user TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
    ALTER TABLE dead_events RENAME TO old_dead_events;
    CREATE TABLE dead_events (seq INTEGER PRIMARY KEY, user TEXT, json TEXT NOT NULL);
    INSERT INTO dead_events SELECT seq, coalesce(json ->> '$.user', json ->> '$.message.user'), json FROM old_dead_events;
    DROP TABLE old_dead_events;
    ",
    "
    CREATE TABLE links (id TEXT PRIMARY KEY, gateway TEXT NOT NULL, is_ending INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE members (id TEXT PRIMARY KEY, link TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
    ",
    "
    CREATE TABLE changed_messages (message INTEGER PRIMARY KEY, last INTEGER NOT NULL, change TEXT NOT NULL);
    ",
    "
    ALTER TABLE changed_messages RENAME TO old_changed_messages;
    CREATE TABLE changed_messages (message INTEGER, aspect TEXT, last INTEGER NOT NULL, change TEXT NOT NULL, PRIMARY KEY (message, aspect)) WITHOUT ROWID;
    INSERT INTO changed_messages SELECT message, 'content', last, change FROM old_changed_messages;
    DROP TABLE old_changed_messages;
    ",
    "
    CREATE TABLE reactions (message INTEGER, user TEXT, name TEXT, PRIMARY KEY (message, user, name)) WITHOUT ROWID;
    ",
    "
    CREATE TABLE replies (root INTEGER, reply INTEGER, PRIMARY KEY (root, reply)) WITHOUT ROWID;
    ",
    "
    CREATE TABLE reads (user TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
    ",
];
