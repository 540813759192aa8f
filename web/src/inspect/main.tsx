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
import { type ConnectionKind, InspectorConnection } from "./inspector-connection.js";
import { JoinForm, type JoinSettings, Status, splitNames } from "./JoinForm.js";
import { Latency } from "./Latency.js";
import { Members } from "./Members.js";
import { RoomInfo } from "./RoomInfo.js";
import { Rooms } from "./Rooms.js";
import { Splitter, useSplit } from "./Splitter.js";
import { t } from "./strings.js";
import { Token } from "./Token.js";
import { checkToken } from "./token-check.js";

/** Keys in sessionStorage: kept across reloads until the tab is closed. */
const STORAGE_KEYS = {
  token: "snug.inspect.token",
  kind: "snug.inspect.kind",
  rooms: "snug.inspect.rooms",
};

const sections = ["token", "admission", "claims", "room", "members", "actions", "frames", "latency"] as const;

function Inspector({ connection }: { connection: InspectorConnection }) {
  const [token, setToken] = useTabStorage(STORAGE_KEYS.token, "");
  const [kind, setKind] = useTabStorage<ConnectionKind>(STORAGE_KEYS.kind, "room");
  const [rooms, setRooms] = useTabStorage(STORAGE_KEYS.rooms, "lobby");
  const [lastSelected, setLastSelected] = useState("");
  const [percent, setPercent] = useSplit("side", 28);
  const [options, setOptions] = useState({ last: "20", presence: true });
  // The client requests a token whenever it connects, and gets the one that is current then.
  const current = useRef(token);
  current.current = token;
  const roomNames = kind === "session" ? splitNames(rooms) : [rooms];
  /** The room that the panels show. */
  const room = roomNames.includes(lastSelected) ? lastSelected : (roomNames[0] ?? "");
  const setSettings = ({ kind: nextKind, rooms: nextRooms, ...options }: JoinSettings) => {
    // A room's own socket is for one of the rooms.
    setRooms(kind === "session" && nextKind === "room" ? room : nextRooms);
    setKind(nextKind);
    setOptions(options);
  };
  const joinOptions = { last: Number(options.last), presence: options.presence };
  const connect = () => connection.connect({ kind, roomNames, token: () => current.current, ...joinOptions });
  const join = (names: string[]) => {
    for (const name of names) connection.join(name, joinOptions);
    setRooms([...new Set([...roomNames, ...names])].join(", "));
    setLastSelected(names[0] ?? room);
  };
  const programOptions = { kind, room, token, ...joinOptions };
  return (
    <>
      <header>
        <h1>
          <a href="/">Snug</a> <span>{t.title}</span>
        </h1>
        <JoinForm
          connection={connection}
          settings={{ kind, rooms, ...options }}
          setSettings={setSettings}
          connect={connect}
        />
        <Status connection={connection} />
      </header>
      {kind === "session" && (
        <Rooms
          connection={connection}
          roomNames={roomNames}
          selected={room}
          select={setLastSelected}
          join={join}
        />
      )}
      <nav aria-label={t.sections}>
        {sections.map((id) => (
          <a key={id} href={`#${id}`}>
            {t[id]}
          </a>
        ))}
      </nav>
      <main style={{ "--split": `${percent}%` }}>
        <div class="column" id="side-pane">
          <Token token={token} setToken={setToken} roomNames={roomNames} />
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

function useTabStorage<Text extends string = string>(
  name: string,
  first: NoInfer<Text>,
): [Text, (value: Text) => void] {
  const [value, setValue] = useState(() => (sessionStorage.getItem(name) ?? first) as Text);
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
