// Who this tab is, and where: two tabs are two people, and a reload keeps each in its place.

import type { GetToken } from "snug-client";
import { devToken } from "../common/dev-token";
import { strings } from "./strings";

/** How the server knows who comes: by a name, where it gives tokens away, by a token, or by the site's cookies. */
export type Identity = { by: "name"; name: string } | { by: "token"; token: string } | { by: "session" };

/** What the tab keeps; nothing, where the browser lets it keep nothing. */
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

/** What a token's `sub` may be, and a name with it. */
export const isValidName = (name: string) =>
  name !== "" && !/\p{Cc}/u.test(name) && new TextEncoder().encode(name).length <= 128;

/** `.` and `..` mean something else in an address. */
export const isValidRoom = (room: string) => /^(?!\.\.?$)[\w.:@~-]{1,128}$/.test(room);

export const isTokenShaped = (token: string) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);

/** The room that the page's address names, as in `#team:7` or `#room=team:7`. */
export function roomFromUrl(): string | undefined {
  try {
    const room = decodeURIComponent(location.hash.replace(/^#(room=)?/, ""));
    return isValidRoom(room) ? room : undefined;
  } catch {
    return undefined;
  }
}

/** A token for whoever has this name, or nothing where the server gives none. */
export const requestToken = (name: string) => devToken({ sub: name, rooms: ["*"], info: { name } });

/** Where the client gets its tokens. */
export function tokenProvider(identity: Identity): GetToken | undefined {
  if (identity.by === "session") return undefined;
  if (identity.by === "token") return () => identity.token;
  return async () => {
    const token = await requestToken(identity.name);
    if (token === undefined) throw new Error("this server gives no tokens");
    return token;
  };
}

/** A name for somebody who has not textFor theirs. */
export function randomName(): string {
  const one = (list: string) => {
    const all = list.split(" ");
    return all[Math.floor(Math.random() * all.length)] ?? "";
  };
  const [adjective, animal] = [one(strings.adjectives), one(strings.animals)];
  return /^\w/.test(animal) ? `${adjective} ${animal}` : `${adjective}的${animal}`;
}

/** The rooms that the tab has been to, the first first. */
export const visitedRooms = (): string[] => tabStorage.read<string[]>("rooms")?.filter(isValidRoom) ?? [];

export function rememberRoom(room: string): void {
  const rooms = visitedRooms();
  if (!rooms.includes(room)) tabStorage.write("rooms", [...rooms, room]);
}

export const loadDraft = (room: string) => tabStorage.get(`draft.${room}`) ?? "";
export const saveDraft = (room: string, text: string) => tabStorage.set(`draft.${room}`, text || undefined);
