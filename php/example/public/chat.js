// The chat: shows the room's messages and members, and publishes what the user writes.

const main = document.querySelector("main.chat");
const { snug, room: name, auth, user: self, site } = main.dataset;
const find = (id) => document.getElementById(id);
const [status, log, messages, members] = ["status", "log", "messages", "members"].map(find);
const [composer, text] = ["composer", "text"].map(find);

/** Explanations of the errors that end the chat. */
const REASONS = {
  banned: "You are banned from the chat.",
  kicked: "A moderator removed you from the chat.",
  token_missing: "You are signed out. Sign in again.",
  room_forbidden: "You are not allowed to join this chat.",
};

// The Worker serves the client as a single file, so there is no build step.
const { joinRoom } = await import(`${snug}/snug-client.js`).catch((error) => {
  showStatus("The chat is unavailable. Try again in a moment.", true);
  throw error;
});

async function getToken() {
  const response = await fetch("token.php");
  // The user has signed out in another tab, or the session has expired. The page then shows the sign-in form.
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(`token.php returned status ${response.status}`);
  return response.text();
}

const room = joinRoom({
  url: snug,
  room: name,
  last: 50,
  // With cookie authentication, the browser sends the cookie by itself.
  getToken: auth === "token" ? getToken : undefined,
});
composer.inert = false;

room.on("message", ({ user, time, data }) => {
  const isNearBottom = log.scrollHeight - log.scrollTop - log.clientHeight < 50;
  const item = document.createElement("li");
  // `user` is verified by Snug. `data` is whatever the member sent.
  if (user === site) item.className = "notice";
  else if (user === self) item.className = "own";
  const sentAt = new Date(time);
  item.append(
    element("span", "who", user === site ? "The shop" : nameOf(user)),
    element(
      "time",
      "",
      sentAt.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
      sentAt.toISOString(),
    ),
    element("p", "", typeof data?.text === "string" ? data.text : JSON.stringify(data)),
  );
  messages.append(item);
  if (isNearBottom || user === self) log.scrollTop = log.scrollHeight;
});

room.on("members", (present) => {
  members.replaceChildren(
    ...[...present.values()].map(({ user, info }) =>
      element("li", user === self ? "own" : "", `${info.name ?? user}${user === self ? " (you)" : ""}`),
    ),
  );
});

room.on("status", ({ status: current, error }) => {
  composer.inert = current === "disconnected";
  if (current === "connected") showStatus("Connected");
  else if (current === "connecting") showStatus("Connecting…");
  else showStatus(REASONS[error?.code] ?? `Disconnected (${error?.code})`, true);
});

room.on("gap", () => {
  messages.append(element("li", "notice", "Some messages are missing here."));
});

composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const draft = text.value.trim();
  if (draft === "") return;
  text.value = "";
  try {
    await room.publish({ text: draft });
    showStatus("Connected");
  } catch (error) {
    showStatus(`Not sent: ${error.message}`, true);
    // Restores the text, so that the user can correct it.
    if (text.value === "") text.value = draft;
  }
});

function showStatus(words, isError = false) {
  status.textContent = words;
  status.className = isError ? "wrong" : "";
}

/** Creates an element with text content, which is never parsed as HTML. */
function element(tag, className, content, datetime) {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = content;
  if (datetime) created.dateTime = datetime;
  return created;
}

/** Returns the name in a user id. */
function nameOf(id) {
  return id.replace(/^user:/, "");
}
