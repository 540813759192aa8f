// The state of this tab: identity, visited rooms, drafts. Each tab is a user of its own, and reloads keep the state.

import type { GetToken } from "snug-client";
import { devToken } from "../common/dev-token";
import { strings } from "./strings";

/** The user's way to authenticate: by name with a development token, by a pasted token, or by session cookies. */
export type Identity = { by: "name"; name: string } | { by: "token"; token: string } | { by: "session" };

/** sessionStorage, if the browser allows it. Otherwise nothing is kept. */
export const tabStorage = {
  get(key: string): string | undefined {
    try {
      return sessionStorage.getItem(`snug.${key}`) ?? undefined;
    } catch {
      return undefined;
    }
  },
  set(key: string, value: string | undefined): void {
    try {
      if (value === undefined) sessionStorage.removeItem(`snug.${key}`);
      else sessionStorage.setItem(`snug.${key}`, value);
    } catch {}
  },
  read<T>(key: string): T | undefined {
    try {
      return JSON.parse(tabStorage.get(key) ?? "");
    } catch {
      return undefined;
    }
  },
  write(key: string, value: unknown): void {
    tabStorage.set(key, value === undefined ? undefined : JSON.stringify(value));
  },
};

/** Returns true if the name is valid as a token's `sub`. */
export const isValidName = (name: string) =>
  name !== "" && !/\p{Cc}/u.test(name) && new TextEncoder().encode(name).length <= 128;

/** Returns true if the room name is valid. `.` and `..` have a special meaning in URLs. */
export const isValidRoom = (room: string) => /^(?!\.\.?$)[\w.:@~-]{1,128}$/.test(room);

export const isTokenShaped = (token: string) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);

/** Returns the room named in the URL's hash, as in `#team:7` or `#room=team:7`. */
export function roomFromUrl(): string | undefined {
  try {
    const room = decodeURIComponent(location.hash.replace(/^#(room=)?/, ""));
    return isValidRoom(room) ? room : undefined;
  } catch {
    return undefined;
  }
}

/** Requests a development token for the name. Resolves to `undefined` if the server does not issue any. */
export const requestToken = (name: string) => devToken({ sub: name, rooms: ["*"], info: { name } });

/** Returns the client's `getToken` for the identity. */
export function tokenProvider(identity: Identity): GetToken | undefined {
  if (identity.by === "session") return undefined;
  if (identity.by === "token") return () => identity.token;
  return async () => {
    const token = await requestToken(identity.name);
    if (token === undefined) throw new Error("This server does not issue tokens. Join with a token instead.");
    return token;
  };
}

/** A moderator's removal of the user from a room. */
export interface Removal {
  code: "kicked" | "banned";
  reason: string | undefined;
  /** The end of a ban in Unix ms, once the server has named it. */
  until?: number;
}

/** Returns the kick after which the user has not joined the room again. The server itself remembers bans. */
export const loadKick = (room: string) => tabStorage.read<Removal>(`kick.${room}`);
export const saveKick = (room: string, kick: Removal | undefined) => tabStorage.write(`kick.${room}`, kick);

/** Returns a random name for new users. */
export function randomName(): string {
  const one = (list: string) => {
    const all = list.split(" ");
    return all[Math.floor(Math.random() * all.length)] ?? "";
  };
  const [adjective, animal] = [one(strings.adjectives), one(strings.animals)];
  return /^\w/.test(animal) ? `${adjective} ${animal}` : `${adjective}的${animal}`;
}

/** The rooms opened in this tab, oldest first. */
export const loadRooms = (): string[] => tabStorage.read<string[]>("rooms")?.filter(isValidRoom) ?? [];
export const saveRooms = (rooms: string[]) => tabStorage.write("rooms", rooms);

/** Names a room, or a thread in it, in what the tab keeps. */
export const placeOf = (room: string, root: number | undefined) =>
  root === undefined ? room : `${room}/${root}`;

/** The thread that is open in a room: the offset of its first message. */
export const loadThread = (room: string) => tabStorage.read<number>(`thread.${room}`);
export const saveThread = (room: string, root: number | undefined) =>
  tabStorage.write(`thread.${room}`, root);

/** The text that the user has written in a place, and not sent. */
export const loadDraft = (place: string) => tabStorage.get(`draft.${place}`) ?? "";
export const saveDraft = (place: string, text: string) => tabStorage.set(`draft.${place}`, text || undefined);
