// The room inspector: for the developer of an application, where to look when something is wrong.

import { render } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import "../common/base.css";
import "./inspect.css";
import { Actions } from "./Actions.js";
import { Claims } from "./Claims.js";
import { useNow } from "./changes.js";
import { Door } from "./Door.js";
import { Frames } from "./Frames.js";
import { Join, Status, type Wish } from "./Join.js";
import { Latency } from "./Latency.js";
import { Members } from "./Members.js";
import { Room } from "./Room.js";
import { Session } from "./session.js";
import { Token } from "./Token.js";
import { judge } from "./token.js";
import { t } from "./words.js";

/** What is kept over a reload, as long as the tab is open. */
const KEPT = { token: "snug.inspect.token", room: "snug.inspect.room" };

const sections = ["token", "door", "claims", "room", "members", "actions", "frames", "latency"] as const;

function Inspector({ session }: { session: Session }) {
  const [token, setToken] = useKept(KEPT.token, "");
  const [room, setRoom] = useKept(KEPT.room, "lobby");
  const [options, setOptions] = useState({ last: "20", presence: true });
  // The client asks for the token when it needs one, which is the one that is here then.
  const current = useRef(token);
  current.current = token;
  const setWish = ({ room, ...options }: Wish) => {
    setRoom(room);
    setOptions(options);
  };
  return (
    <>
      <header>
        <h1>
          <a href="/">Snug</a> <span>{t.title}</span>
        </h1>
        <Join session={session} wish={{ room, ...options }} setWish={setWish} token={() => current.current} />
        <Status session={session} />
      </header>
      <nav aria-label={t.sections}>
        {sections.map((id) => (
          <a key={id} href={`#${id}`}>
            {t[id]}
          </a>
        ))}
      </nav>
      <main>
        <div class="column">
          <Token token={token} setToken={setToken} room={room} />
          <Judged token={token} room={room} />
        </div>
        <div class="column">
          <Room session={session} />
          <Members session={session} />
          <Actions session={session} />
        </div>
        <div class="column wide">
          <Frames session={session} />
          <Latency session={session} />
        </div>
      </main>
    </>
  );
}

function Judged({ token, room }: { token: string; room: string }) {
  const now = useNow();
  const judgement = useMemo(() => judge(token, room, now), [token, room, now]);
  return (
    <>
      <Door judgement={judgement} token={token} room={room} />
      <Claims judgement={judgement} room={room} token={token} now={now} />
    </>
  );
}

function useKept(name: string, first: string): [string, (value: string) => void] {
  const [value, setValue] = useState(() => sessionStorage.getItem(name) ?? first);
  return [
    value,
    (next) => {
      sessionStorage.setItem(name, next);
      setValue(next);
    },
  ];
}

document.title = `${t.title} – Snug`;
render(<Inspector session={new Session()} />, document.body);
