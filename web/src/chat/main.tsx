import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../common/base.css";
import "./chat.css";
import { Chat } from "./Chat";
import { Entrance } from "./Entrance";
import { type Identity, kept, rememberRoom, roomInAddress } from "./session";

function Page() {
  const [identity, setIdentity] = useState(() => kept.read<Identity>("identity"));
  const [room, setRoom] = useState(() => roomInAddress() ?? "lobby");
  const go = (to: string) => {
    location.hash = to;
    setRoom(to);
  };
  const become = (next: Identity | undefined) => {
    kept.write("identity", next);
    setIdentity(next);
  };
  useEffect(() => {
    const follow = () => setRoom((before) => roomInAddress() ?? before);
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => {
    if (!identity) return;
    rememberRoom(room);
    if (roomInAddress() !== room) history.replaceState(null, "", `#${room}`);
  }, [identity, room]);
  if (identity)
    return <Chat key={room} identity={identity} room={room} go={go} leave={() => become(undefined)} />;
  const enter = (next: Identity, to: string) => {
    go(to);
    become(next);
  };
  return <Entrance key={room} room={room} enter={enter} />;
}

render(<Page />, document.body);
