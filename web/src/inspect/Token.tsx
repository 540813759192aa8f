// The token: pasted, or made by a Worker that runs for development.

import { useState } from "preact/hooks";
import { devToken } from "../common/dev-token.js";
import { CopyButton } from "./CopyButton.js";
import { isObject, parsed } from "./json.js";
import { Panel } from "./Panel.js";
import { cleaned } from "./token.js";
import { t } from "./words.js";

interface Props {
  token: string;
  setToken: (token: string) => void;
  room: string;
}

export function Token({ token, setToken, room }: Props) {
  const [isShown, setIsShown] = useState(false);
  return (
    <Panel
      id="token"
      title={t.token}
      aside={
        token && (
          <span class="tools">
            <button type="button" class="tool" aria-pressed={isShown} onClick={() => setIsShown(!isShown)}>
              {isShown ? t.hide : t.reveal}
            </button>
            <CopyButton text={() => token} />
            <button type="button" class="tool" onClick={() => setToken("")}>
              {t.clear}
            </button>
          </span>
        )
      }
    >
      <textarea
        class={`field jwt ${isShown ? "" : "hidden"}`}
        aria-label={t.pasted}
        placeholder={t.paste}
        rows={3}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        value={token}
        onInput={(event) => setToken(cleaned(event.currentTarget.value))}
      />
      <Maker room={room} setToken={setToken} />
    </Panel>
  );
}

/** What is filled in to make a token. */
interface Wishes {
  user: string;
  rooms: string;
  info: string;
  seconds: string;
  others: string;
}

type Preset = keyof typeof t.presets;

function presetOf(preset: Preset, room: string): Wishes {
  const grants = (...capabilities: string[]) => JSON.stringify({ [room || "lobby"]: capabilities });
  const member = { user: "ann", rooms: room || "lobby", info: '{"name":"Ann"}', seconds: "3600", others: "" };
  switch (preset) {
    case "member":
      return member;
    case "reader":
      return {
        ...member,
        user: "rea",
        info: '{"name":"Rea"}',
        rooms: grants("receive", "presence", "history"),
      };
    case "moderator": {
      const all = ["receive", "publish", "signal", "presence", "history", "moderate"];
      return { ...member, user: "mod", info: '{"name":"Mo"}', rooms: grants(...all) };
    }
    case "expired":
      return { ...member, seconds: "-60" };
    case "early":
      return { ...member, seconds: "7200", others: `{"nbf":${Math.floor(Date.now() / 1000) + 3600}}` };
    case "elsewhere":
      return { ...member, rooms: "elsewhere, team:7:*" };
  }
}

/** The claims that are wished for, or what is wrong with the wishes. */
function claimsOf({ user, rooms, info, seconds, others }: Wishes): Record<string, unknown> | string {
  const claims: Record<string, unknown> = { sub: user };
  claims.rooms = /^\s*[[{]/.test(rooms) ? parsed(rooms) : rooms.split(/[\s,]+/).filter(Boolean);
  if (claims.rooms === undefined) return t.notJson("rooms");
  if (info.trim()) claims.info = parsed(info);
  if (info.trim() && !isObject(claims.info)) return t.notJson("info");
  if (seconds.trim()) claims.exp = Math.floor(Date.now() / 1000) + Number(seconds);
  const more = others.trim() ? parsed(others) : {};
  return isObject(more) ? { ...claims, ...more } : t.notJson(t.others);
}

function Maker({ room, setToken }: Omit<Props, "token">) {
  const [preset, setPreset] = useState<Preset>("member");
  const [wishes, setWishes] = useState(() => presetOf("member", room));
  const [outcome, setOutcome] = useState("");
  const [isHere, setIsHere] = useState(true);
  const claims = claimsOf(wishes);
  const input = (name: keyof Wishes) => ({
    class: "field",
    name,
    spellcheck: false,
    autocomplete: "off" as const,
    value: wishes[name],
    onInput: (event: { currentTarget: { value: string } }) =>
      setWishes({ ...wishes, [name]: event.currentTarget.value }),
  });
  const make = async () => {
    if (typeof claims === "string") return;
    try {
      const token = await devToken(claims);
      setIsHere(token !== undefined);
      setOutcome(token === undefined ? "" : t.made);
      if (token !== undefined) setToken(token);
    } catch (error) {
      setOutcome(`${error instanceof Error ? error.message : error}`);
    }
  };
  return (
    <form
      class="form"
      aria-labelledby="make-title"
      onSubmit={(event) => {
        event.preventDefault();
        make();
      }}
    >
      <h3 id="make-title">{t.make}</h3>
      <label>
        <span>{t.preset}</span>
        <select
          class="field"
          value={preset}
          onChange={({ currentTarget: { value } }) => {
            setPreset(value as Preset);
            setWishes(presetOf(value as Preset, room));
          }}
        >
          {Object.entries(t.presets).map(([name, words]) => (
            <option key={name} value={name}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>{t.user}</span>
        <input {...input("user")} />
      </label>
      <label class="wide">
        <span>{t.roomsList}</span>
        <input {...input("rooms")} />
      </label>
      <label>
        <span>{t.info}</span>
        <input {...input("info")} />
      </label>
      <label>
        <span>{t.seconds}</span>
        <input {...input("seconds")} type="number" />
      </label>
      <label class="wide">
        <span>{t.others}</span>
        <textarea {...input("others")} rows={2} placeholder='{"limits":{"messages_per_second":5}}' />
      </label>
      <div class="wide row">
        <button type="submit" class="button" disabled={!isHere || typeof claims === "string"}>
          {t.make}
        </button>
        <span role="status" class={typeof claims === "string" ? "bad" : "quiet"}>
          {!isHere ? t.notHere : typeof claims === "string" ? claims : outcome}
        </span>
      </div>
    </form>
  );
}
