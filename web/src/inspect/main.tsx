// The room inspector: helps developers see what a room, a token and a connection are doing.

import { render } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import "../common/base.css";
import "./inspect.css";
import { Actions } from "./Actions.js";
import { AdmissionCheck } from "./AdmissionCheck.js";
import { Claims } from "./Claims.js";
import { useNow } from "./change-notifier.js";
import type { ProgramOptions } from "./copy-as.js";
import { Frames } from "./Frames.js";
import { InspectorConnection } from "./inspector-connection.js";
import { JoinForm, type JoinSettings, Status } from "./JoinForm.js";
import { Latency } from "./Latency.js";
import { Members } from "./Members.js";
import { RoomInfo } from "./RoomInfo.js";
import { Splitter, useSplit } from "./Splitter.js";
import { t } from "./strings.js";
import { Token } from "./Token.js";
import { checkToken } from "./token-check.js";

/** Keys in sessionStorage: kept across reloads until the tab is closed. */
const STORAGE_KEYS = { token: "snug.inspect.token", room: "snug.inspect.room" };

const sections = ["token", "admission", "claims", "room", "members", "actions", "frames", "latency"] as const;

function Inspector({ connection }: { connection: InspectorConnection }) {
  const [token, setToken] = useTabStorage(STORAGE_KEYS.token, "");
  const [room, setRoom] = useTabStorage(STORAGE_KEYS.room, "lobby");
  const [percent, setPercent] = useSplit("side", 28);
  const [options, setOptions] = useState({ last: "20", presence: true });
  // The client requests a token whenever it connects, and gets the one that is current then.
  const current = useRef(token);
  current.current = token;
  const setSettings = ({ room, ...options }: JoinSettings) => {
    setRoom(room);
    setOptions(options);
  };
  const programOptions = { room, token, presence: options.presence, last: Number(options.last) };
  return (
    <>
      <header>
        <h1>
          <a href="/">Snug</a> <span>{t.title}</span>
        </h1>
        <JoinForm
          connection={connection}
          settings={{ room, ...options }}
          setSettings={setSettings}
          token={() => current.current}
        />
        <Status connection={connection} />
      </header>
      <nav aria-label={t.sections}>
        {sections.map((id) => (
          <a key={id} href={`#${id}`}>
            {t[id]}
          </a>
        ))}
      </nav>
      <main style={{ "--split": `${percent}%` }}>
        <div class="column" id="side-pane">
          <Token token={token} setToken={setToken} room={room} />
          <TokenPanels connection={connection} options={programOptions} />
          <RoomInfo connection={connection} roomName={room} />
          <Members connection={connection} roomName={room} />
          <Actions connection={connection} options={programOptions} />
        </div>
        <Splitter pane="side-pane" percent={percent} setPercent={setPercent} />
        <div class="column main-column">
          <Frames connection={connection} />
          <Latency connection={connection} roomName={room} />
        </div>
      </main>
    </>
  );
}

interface TokenPanelsProps {
  connection: InspectorConnection;
  options: ProgramOptions & { token: string };
}

function TokenPanels({ connection, options }: TokenPanelsProps) {
  const { token, room } = options;
  const now = useNow();
  const check = useMemo(() => checkToken(token, room, now), [token, room, now]);
  return (
    <>
      <AdmissionCheck connection={connection} check={check} options={options} />
      <Claims check={check} room={room} token={token} now={now} />
    </>
  );
}

function useTabStorage(name: string, first: string): [string, (value: string) => void] {
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
render(<Inspector connection={new InspectorConnection()} />, document.body);
