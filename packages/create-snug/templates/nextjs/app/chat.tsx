"use client";

import { useState } from "react";
import { useRoom } from "snug-client/react";

/** The room's messages by event. */
interface Lobby {
  messages: { chat: { text: string } };
}

const snugUrl = process.env.NEXT_PUBLIC_SNUG_URL ?? "http://127.0.0.1:8787";

export function Chat({ name }: { name: string }) {
  const [draft, setDraft] = useState("");
  const { room, status, messages, members } = useRoom<Lobby>({
    room: "lobby",
    url: snugUrl,
    getToken,
    last: 50,
  });

  async function getToken() {
    const response = await fetch(`/chat-token?name=${encodeURIComponent(name)}`, { method: "POST" });
    if (!response.ok) throw new Error(`/chat-token returned ${response.status}`);
    return response.text();
  }

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
