import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../common/base.css";
import "./chat.css";
import { Chat } from "./Chat";
import { JoinForm } from "./JoinForm";
import { type Identity, rememberRoom, roomFromUrl, tabStorage } from "./tab-state";

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
  useEffect(() => {
    if (!identity) return;
    rememberRoom(room);
    if (roomFromUrl() !== room) history.replaceState(null, "", `#${room}`);
  }, [identity, room]);
  if (identity)
    return <Chat key={room} identity={identity} room={room} go={go} leave={() => become(undefined)} />;
  const enter = (next: Identity, to: string) => {
    go(to);
    become(next);
  };
  return <JoinForm key={room} room={room} enter={enter} />;
}

render(<Page />, document.body);
