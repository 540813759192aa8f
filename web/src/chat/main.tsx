import { type ComponentProps, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../common/base.css";
import "./chat.css";
import { Chat } from "./Chat";
import { JoinForm } from "./JoinForm";
import { RemovalNotice } from "./RemovalNotice";
import { type Identity, loadKick, rememberRoom, roomFromUrl, saveKick, tabStorage } from "./tab-state";

function Page() {
  const [identity, setIdentity] = useState(() => tabStorage.read<Identity>("identity"));
  const [room, setRoom] = useState(() => roomFromUrl() ?? "lobby");
  /** Joins of the same room. */
  const [joins, setJoins] = useState(0);
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
  useEffect(() => {
    if (!identity) return;
    rememberRoom(room);
    if (roomFromUrl() !== room) history.replaceState(null, "", `#${room}`);
  }, [identity, room]);
  const leave = () => become(undefined);
  const rejoin = () => {
    saveKick(room, undefined);
    setJoins((joins) => joins + 1);
  };
  if (identity) return <RoomPage key={`${joins} ${room}`} {...{ identity, room, go, rejoin, leave }} />;
  const enter = (next: Identity, to: string) => {
    saveKick(to, undefined);
    go(to);
    become(next);
  };
  return <JoinForm key={room} room={room} enter={enter} />;
}

function RoomPage(props: ComponentProps<typeof Chat>) {
  // Read once: a kick while the room is open leaves its messages on the screen.
  const [kick] = useState(() => loadKick(props.room));
  return kick ? <RemovalNotice {...props} removal={kick} /> : <Chat {...props} />;
}

render(<Page />, document.body);
