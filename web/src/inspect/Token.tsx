// The token: pasted, or created by a development Worker.

import { useState } from "preact/hooks";
import { devToken } from "../common/dev-token.js";
import { CopyButton } from "./CopyButton.js";
import { isObject, tryParse } from "./json.js";
import { Panel } from "./Panel.js";
import { t } from "./strings.js";
import { CAPABILITIES, cleanToken } from "./token-check.js";

interface Props {
  token: string;
  setToken: (token: string) => void;
  roomNames: string[];
}

export function Token({ token, setToken, roomNames }: Props) {
  const [isShown, setIsShown] = useState(false);
  return (
    <Panel
      id="token"
      title={t.token}
      aside={
        token && (
          <span class="toolbar">
            <button
              type="button"
              class="tool-button"
              aria-pressed={isShown}
              onClick={() => setIsShown(!isShown)}
            >
              {isShown ? t.hide : t.show}
            </button>
            <CopyButton text={() => token} />
            <button type="button" class="tool-button" onClick={() => setToken("")}>
              {t.clear}
            </button>
          </span>
        )
      }
    >
      <textarea
        class={`field jwt-input ${isShown ? "" : "hidden"}`}
        aria-label={t.tokenInput}
        placeholder={t.tokenPlaceholder}
        rows={3}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        value={token}
        onInput={(event) => setToken(cleanToken(event.currentTarget.value))}
      />
      <TokenForm roomNames={roomNames} setToken={setToken} />
    </Panel>
  );
}

/** The fields of the form that creates a token. */
interface TokenFields {
  user: string;
  rooms: string;
  info: string;
  seconds: string;
  otherClaims: string;
}

type Preset = keyof typeof t.presets;

function presetOf(preset: Preset, roomNames: string[]): TokenFields {
  const named = roomNames.filter(Boolean);
  const rooms = named.length > 0 ? named : ["lobby"];
  const grants = (...capabilities: string[]) =>
    JSON.stringify(Object.fromEntries(rooms.map((room) => [room, capabilities])));
  const member = {
    user: "ann",
    rooms: rooms.join(", "),
    info: '{"name":"Ann"}',
    seconds: "3600",
    otherClaims: "",
  };
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
      const can = CAPABILITIES.filter((one) => one !== "serve");
      return { ...member, user: "mod", info: '{"name":"Mo"}', rooms: grants(...can) };
    }
    case "expired":
      return { ...member, seconds: "-60" };
    case "early":
      return { ...member, seconds: "7200", otherClaims: `{"nbf":${Math.floor(Date.now() / 1000) + 3600}}` };
    case "elsewhere":
      return { ...member, rooms: "elsewhere, team:7:*" };
  }
}

/** Returns the claims for the fields, or an error text. */
function claimsOf({
  user,
  rooms,
  info,
  seconds,
  otherClaims,
}: TokenFields): Record<string, unknown> | string {
  const claims: Record<string, unknown> = { sub: user };
  claims.rooms = /^\s*[[{]/.test(rooms) ? tryParse(rooms) : rooms.split(/[\s,]+/).filter(Boolean);
  if (claims.rooms === undefined) return t.invalidJson("rooms");
  if (info.trim()) claims.info = tryParse(info);
  if (info.trim() && !isObject(claims.info)) return t.notObject("info");
  if (seconds.trim()) claims.exp = Math.floor(Date.now() / 1000) + Number(seconds);
  const more = otherClaims.trim() ? tryParse(otherClaims) : {};
  return isObject(more) ? { ...claims, ...more } : t.notObject(t.otherClaims);
}

function TokenForm({ roomNames, setToken }: Omit<Props, "token">) {
  const [preset, setPreset] = useState<Preset>("member");
  /** The fields that the user has changed. The others follow the preset and the rooms in the header. */
  const [edits, setEdits] = useState<Partial<TokenFields>>({});
  const fields = { ...presetOf(preset, roomNames), ...edits };
  const [outcome, setOutcome] = useState("");
  const [isAvailable, setIsAvailable] = useState(true);
  const claims = claimsOf(fields);
  const input = (name: keyof TokenFields) => ({
    class: "field",
    name,
    spellcheck: false,
    autocomplete: "off" as const,
    value: fields[name],
    onInput: (event: { currentTarget: { value: string } }) =>
      setEdits({ ...edits, [name]: event.currentTarget.value }),
  });
  const create = async () => {
    if (typeof claims === "string") return;
    try {
      const token = await devToken(claims);
      setIsAvailable(token !== undefined);
      setOutcome(token === undefined ? "" : t.created);
      if (token !== undefined) setToken(token);
    } catch (error) {
      setOutcome(`${error instanceof Error ? error.message : error}`);
    }
  };
  return (
    <form
      class="form"
      aria-labelledby="create-token-title"
      onSubmit={(event) => {
        event.preventDefault();
        create();
      }}
    >
      <h3 id="create-token-title">{t.createToken}</h3>
      <label>
        <span>{t.preset}</span>
        <select
          class="field"
          value={preset}
          onChange={({ currentTarget: { value } }) => {
            setPreset(value as Preset);
            setEdits({});
          }}
        >
          {Object.entries(t.presets).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>{t.user}</span>
        <input {...input("user")} />
      </label>
      <label class="full-width">
        <span>{t.rooms}</span>
        <input {...input("rooms")} />
      </label>
      <label>
        <span>{t.info}</span>
        <input {...input("info")} />
      </label>
      <label>
        <span>{t.lifetime}</span>
        <input {...input("seconds")} type="number" />
      </label>
      <label class="full-width">
        <span>{t.otherClaims}</span>
        <textarea {...input("otherClaims")} rows={2} placeholder='{"limits":{"messages_per_second":5}}' />
      </label>
      <div class="full-width button-row">
        <button type="submit" class="button" disabled={!isAvailable || typeof claims === "string"}>
          {t.createToken}
        </button>
        <span role="status" class={typeof claims === "string" ? "error" : "muted"}>
          {!isAvailable ? t.noDevTokens : typeof claims === "string" ? claims : outcome}
        </span>
      </div>
    </form>
  );
}
