import { useState } from "react";
import { useRoom } from "snug-client/react";

/** The room's messages by event. */
interface Lobby {
  messages: { chat: { text: string } };
}

// The user chooses a name in the URL, as in /?name=ann. Your sign-in replaces this.
const name =
  new URLSearchParams(location.search).get("name") ?? `guest-${Math.floor(1000 + Math.random() * 9000)}`;

/** Fetches a token from the Worker: see worker/index.ts. */
async function getToken() {
  const response = await fetch(`/chat-token?name=${encodeURIComponent(name)}`, { method: "POST" });
  if (!response.ok) throw new Error(`/chat-token returned ${response.status}`);
  return response.text();
}

export function Chat() {
  const [draft, setDraft] = useState("");
  const { room, status, messages, members } = useRoom<Lobby>({
    room: "lobby",
    url: location.origin,
    getToken,
    last: 50,
  });

  function send() {
    room
      ?.publish({ text: draft }, { event: "chat" })
      .catch((error) => alert(`The message was not sent: ${error.message}`));
    setDraft("");
  }

  return (
    <main>
      <h1>Lobby</h1>
      <p role="status">
        {status}. Members: {[...members.keys()].join(", ")}
      </p>
      <ul>
        {messages.map(({ key, offset, user, data }) => (
          <li key={key ?? offset}>
            <b>{user}</b>: {data.text}
          </li>
        ))}
      </ul>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <input
          aria-label="Message"
          autoComplete="off"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
        />
        <button type="submit" disabled={!draft}>
          Send
        </button>
      </form>
    </main>
  );
}
