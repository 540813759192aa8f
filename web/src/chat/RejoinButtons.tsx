// What the user can do after the session has ended.

import { strings } from "./strings";

interface Props {
  /** Joins the room again, if that can help. */
  rejoin: (() => void) | undefined;
  leave(): void;
}

export function RejoinButtons({ rejoin, leave }: Props) {
  return (
    <>
      {rejoin && (
        <button type="button" class="button primary" onClick={rejoin}>
          {strings.joinAgain}
        </button>
      )}
      <button type="button" class="button" onClick={leave}>
        {strings.backToJoin}
      </button>
    </>
  );
}
