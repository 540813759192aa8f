// The way in: a name and a room; or a token, where the server gives none away.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { strings } from "./strings";
import {
  type Identity,
  isTokenShaped,
  isValidName,
  isValidRoom,
  randomName,
  requestToken,
  tabStorage,
} from "./tab-state";

interface Props {
  room: string;
  enter(identity: Identity, room: string): void;
}

export function JoinForm({ room: first, enter }: Props) {
  const [name, setName] = useState(() => tabStorage.get("name") ?? randomName());
  const [room, setRoom] = useState(first);
  const [token, setToken] = useState("");
  const [needsToken, setNeedsToken] = useState(false);
  const [isAsked, setAsked] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    document.title = "Snug";
  }, []);

  const wrongName = isAsked && !needsToken && !isValidName(name.trim()) ? strings.nameError : undefined;
  const wrongToken = isAsked && needsToken && !isTokenShaped(token.trim()) ? strings.tokenError : undefined;
  const wrongRoom = isAsked && !isValidRoom(room.trim()) ? strings.roomError : undefined;

  async function submit(event: Event) {
    event.preventDefault();
    if (isBusy) return;
    setAsked(true);
    setFailure(undefined);
    const [chosen, brought, goal] = [name.trim(), token.trim(), room.trim()];
    if (needsToken && !isTokenShaped(brought)) return focusOn("token");
    if (!needsToken && !isValidName(chosen)) return focusOn("name");
    if (!isValidRoom(goal)) return focusOn("room");
    if (needsToken) return enter({ by: "token", token: brought }, goal);
    setBusy(true);
    try {
      const given = await requestToken(chosen);
      tabStorage.set("name", chosen);
      if (given !== undefined) return enter({ by: "name", name: chosen }, goal);
      setNeedsToken(true);
      setAsked(false);
    } catch (error) {
      // What fetch throws where there is no answer says nothing to people.
      setFailure(error instanceof TypeError ? strings.unreachable : `${error}`);
    }
    setBusy(false);
  }
  const focusOn = (field: string) => form.current?.querySelector<HTMLElement>(`[name=${field}]`)?.focus();

  return (
    <main class="join-page">
      <form class="join-card" ref={form} onSubmit={submit} noValidate>
        <img src="/icon.svg" alt="" width="48" height="48" />
        <h1>Snug</h1>
        <p class="tagline">{needsToken ? strings.needsToken : strings.tagline}</p>
        {needsToken ? (
          <Field key="token" label={strings.token} hint={strings.tokenHint} wrong={wrongToken}>
            {(ids) => (
              <input
                {...ids}
                ref={select}
                class="field mono"
                name="token"
                autocomplete="off"
                spellcheck={false}
                value={token}
                onInput={(event) => setToken(event.currentTarget.value)}
              />
            )}
          </Field>
        ) : (
          <Field key="name" label={strings.yourName} hint={strings.nameHint} wrong={wrongName}>
            {(ids) => (
              <input
                {...ids}
                ref={select}
                class="field"
                name="name"
                autocomplete="nickname"
                dir="auto"
                maxLength={128}
                value={name}
                onInput={(event) => setName(event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        <Field label={strings.room} hint={strings.roomHint} wrong={wrongRoom}>
          {(ids) => (
            <input
              {...ids}
              class="field"
              name="room"
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              maxLength={128}
              value={room}
              onInput={(event) => setRoom(event.currentTarget.value)}
            />
          )}
        </Field>
        <button type="submit" class="button primary" aria-disabled={isBusy}>
          {needsToken ? strings.joinWithToken : strings.join}
        </button>
        {needsToken && (
          <>
            <button
              type="button"
              class="button"
              onClick={() => isValidRoom(room.trim()) && enter({ by: "session" }, room.trim())}
            >
              {strings.joinWithSession}
            </button>
            <p class="hint">{strings.sessionHint}</p>
          </>
        )}
        <p class="error" role="alert">
          {failure}
        </p>
      </form>
    </main>
  );
}

/** Where one begins to type, what stands there gives way. */
const select = (input: HTMLInputElement | null) => input?.select();

interface FieldProps {
  label: string;
  hint: string;
  wrong: string | undefined;
  children(ids: { id: string; "aria-describedby": string; "aria-invalid": boolean }): ComponentChildren;
}

function Field({ label, hint, wrong, children }: FieldProps) {
  const id = useId();
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-hint`, "aria-invalid": wrong !== undefined })}
      <p id={`${id}-hint`} class={wrong ? "hint error" : "hint"}>
        {wrong ?? hint}
      </p>
    </div>
  );
}
