import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../common/base.css";
import "./chat.css";
import { Chat } from "./Chat";
import { ChatSession, sumOfUnread } from "./chat-session";
import { JoinForm } from "./JoinForm";
import { useStateOf } from "./observable";
import { RemovalNotice } from "./RemovalNotice";
import { type Identity, loadKick, roomFromUrl, saveKick, tabStorage } from "./tab-state";

function Page() {
  const [identity, setIdentity] = useState(() => tabStorage.read<Identity>("identity"));
  const [room, setRoom] = useState(() => roomFromUrl() ?? "lobby");
  const go = (to: string) => {
    location.hash = to;
    setRoom(to);
  };
  const become = (next: Identity | undefined) => {
    tabStorage.write("identity", next);
    setIdentity(next);
  };
  useEffect(() => {
    const follow = () => setRoom((before) => roomFromUrl() ?? before);
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  if (identity) return <Rooms {...{ identity, room, go }} leave={() => become(undefined)} />;
  const enter = (next: Identity, to: string) => {
    saveKick(to, undefined);
    go(to);
    become(next);
  };
  return <JoinForm key={room} room={room} enter={enter} />;
}

interface RoomsProps {
  identity: Identity;
  room: string;
  go(room: string): void;
  leave(): void;
}

/** Keeps all rooms of the list joined, and shows one of them. */
function Rooms({ identity, room, go, leave }: RoomsProps) {
  const [chat] = useState(() => new ChatSession(identity));
  useEffect(() => () => void chat.leave(), [chat]);
  const session = chat.open(room);
  const { rooms } = useStateOf(chat);
  useEffect(() => {
    if (roomFromUrl() !== room) history.replaceState(null, "", `#${room}`);
    const look = () => chat.setSeen(document.hidden ? undefined : session);
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [chat, room, session]);
  const unread = sumOfUnread(rooms);
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${room} · Snug`;
  }, [room, unread]);

  const remove = (name: string) => {
    const at = rooms.findIndex((one) => one.name === name);
    const neighbor = rooms[at - 1] ?? rooms[at + 1];
    if (name === room && neighbor) go(neighbor.name);
    chat.remove(name);
  };
  const rejoin = () => chat.rejoin(room);
  const shared = { room, rooms, go, remove, rejoin, leave };
  const name = identity.by === "name" ? identity.name : "";
  if (session) return <Chat key={session.id} {...shared} {...{ session, name }} />;
  const removal = loadKick(room) ?? { code: "kicked", reason: undefined };
  return <RemovalNotice key={room} {...shared} removal={removal} />;
}

render(<Page />, document.body);
