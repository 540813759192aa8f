// The form to join a room: with a name, or with a token if the server does not issue any.

import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useId, useRef, useState } from "preact/hooks";
import { issuesDevTokens } from "../common/dev-token";
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
  /** Unknown until the server has responded. The form asks for nothing that it may not need. */
  const [needsToken, setNeedsToken] = useState<boolean>();
  const [isSubmitted, setSubmitted] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  const findOut = useCallback(async () => {
    setFailure(undefined);
    try {
      setNeedsToken(!(await issuesDevTokens()));
    } catch (error) {
      setFailure(failureText(error));
    }
  }, []);
  useEffect(() => {
    document.title = "Snug";
    findOut();
  }, [findOut]);

  const nameError = isSubmitted && !needsToken && !isValidName(name.trim()) ? strings.nameError : undefined;
  const tokenError =
    isSubmitted && needsToken && !isTokenShaped(token.trim()) ? strings.tokenError : undefined;
  const roomError = isSubmitted && !isValidRoom(room.trim()) ? strings.roomError : undefined;

  async function submit(event: Event) {
    event.preventDefault();
    if (isBusy) return;
    setSubmitted(true);
    setFailure(undefined);
    const [chosenName, chosenToken, chosenRoom] = [name.trim(), token.trim(), room.trim()];
    if (needsToken && !isTokenShaped(chosenToken)) return focusOn("token");
    if (!needsToken && !isValidName(chosenName)) return focusOn("name");
    if (!isValidRoom(chosenRoom)) return focusOn("room");
    if (needsToken) return enter({ by: "token", token: chosenToken }, chosenRoom);
    setBusy(true);
    try {
      const issued = await requestToken(chosenName);
      tabStorage.set("name", chosenName);
      if (issued !== undefined) return enter({ by: "name", name: chosenName }, chosenRoom);
      setNeedsToken(true);
      setSubmitted(false);
    } catch (error) {
      setFailure(failureText(error));
    }
    setBusy(false);
  }
  const focusOn = (field: string) => form.current?.querySelector<HTMLElement>(`[name=${field}]`)?.focus();

  if (needsToken === undefined) {
    return (
      <main class="join-page">
        <div class="join-card">
          <Logo />
          <p role="alert" class="error-text">
            {failure}
          </p>
          {failure === undefined ? (
            <p class="muted delayed">{strings.connecting}</p>
          ) : (
            <button type="button" class="button primary" onClick={findOut}>
              {strings.tryAgain}
            </button>
          )}
        </div>
      </main>
    );
  }
  return (
    <main class="join-page">
      <form class="join-card" ref={form} onSubmit={submit} noValidate>
        <Logo />
        <p class="tagline">{needsToken ? strings.needsToken : strings.tagline}</p>
        {needsToken ? (
          <Field key="token" label={strings.token} hint={strings.tokenHint} error={tokenError}>
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
          <Field key="name" label={strings.yourName} hint={strings.nameHint} error={nameError}>
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
        <Field label={strings.room} hint={strings.roomHint} error={roomError}>
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
        <p class="error-text" role="alert">
          {failure}
        </p>
      </form>
    </main>
  );
}

function Logo() {
  return (
    <>
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1>Snug</h1>
    </>
  );
}

/** `fetch` throws a TypeError if there is no response. Its message does not help users. */
const failureText = (error: unknown) =>
  error instanceof TypeError ? strings.unreachable : (error as Error).message;

/** Selects the current value, so that typing replaces it. */
const select = (input: HTMLInputElement | null) => input?.select();

interface FieldProps {
  label: string;
  hint: string;
  error: string | undefined;
  children(ids: { id: string; "aria-describedby": string; "aria-invalid": boolean }): ComponentChildren;
}

function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-hint`, "aria-invalid": error !== undefined })}
      <p id={`${id}-hint`} class={error ? "hint error-text" : "hint"}>
        {error ?? hint}
      </p>
    </div>
  );
}
