// The chat: shows the room's messages and members, and publishes what the user writes.

const { snug, room: name } = document.querySelector("main").dataset;
const [status, messages, composer, text] = ["status", "messages", "composer", "text"].map((id) =>
  document.getElementById(id),
);

// The Worker serves the client as a single file, so there is no build step.
const { joinRoom } = await import(`${snug}/snug-client.js`);

async function getToken() {
  const response = await fetch("token.php");
  if (!response.ok) throw new Error(`token.php returned ${response.status}`);
  return response.text();
}

const room = joinRoom({ url: snug, room: name, last: 50, getToken });
let [current, members] = ["connecting", ""];

room.on("status", ({ status, error }) => {
  current = error ? `${status} (${error.code})` : status;
  showStatus();
});

room.on("members", (present) => {
  members = [...present.keys()].join(", ");
  showStatus();
});

room.on("message", ({ user, data }) => {
  const item = document.createElement("li");
  const author = document.createElement("b");
  // `user` is verified by Snug. `data` is whatever the member sent, and is never parsed as HTML.
  author.textContent = user;
  item.append(author, `: ${data?.text ?? JSON.stringify(data)}`);
  messages.append(item);
});

room.on("gap", () => {
  messages.append("Some messages are missing here.");
});

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  room.publish({ text: text.value }).catch((error) => alert(`The message was not sent: ${error.message}`));
  text.value = "";
});

function showStatus() {
  status.textContent = `${current}. Members: ${members}`;
}
