// Buttons that copy the connection, or a command, as a program. The token is left out unless the user includes it.

import { useState } from "preact/hooks";
import { CopyButton } from "./CopyButton.js";
import { type ProgramOptions, programsFor } from "./copy-as.js";
import { t } from "./strings.js";

interface Props {
  options: ProgramOptions;
  /** The command. Without one, the programs only connect. */
  text?: string;
}

export function CopyAs({ options, text }: Props) {
  const [hasToken, setHasToken] = useState(false);
  const { token } = options;
  const shown = { ...options, token: hasToken && token ? token : undefined };
  return (
    <fieldset class="copy-as" aria-label={t.copyAs}>
      <span class="muted">{t.copyAs}</span>
      {Object.entries(programsFor(shown, location.origin, text)).map(([name, code]) => (
        <CopyButton key={name} label={name} text={() => code} />
      ))}
      <label class="checkbox">
        <input
          type="checkbox"
          disabled={!token}
          checked={hasToken}
          onChange={({ currentTarget: { checked } }) => setHasToken(checked)}
        />
        <span>{t.withToken}</span>
      </label>
    </fieldset>
  );
}
