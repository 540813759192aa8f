// A thread: the message that the replies are about, the replies, and the field for another one.

import { useMemo, useRef } from "preact/hooks";
import { Composer } from "./Composer";
import type { Conversation } from "./conversation";
import { MessageList } from "./MessageList";
import { useStateOf } from "./observable";
import type { RoomSession, RoomState } from "./room-session";

interface Props {
  room: string;
  state: RoomState;
  session: RoomSession;
  thread: Conversation;
}

export function ThreadPane({ room, state, session, thread }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const { timeline, historyStatus } = useStateOf(thread);
  const shown = useMemo(
    () => ({ ...state, timeline, historyStatus, newSince: undefined }),
    [state, timeline, historyStatus],
  );
  const shared = { room, session, field, conversation: thread, state: shown };
  return (
    <>
      <MessageList {...shared} />
      <Composer {...shared} />
    </>
  );
}
