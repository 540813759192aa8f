// The chat: what Snug tells goes into the page, what is written goes to Snug.

const main = document.querySelector("main.chat");
const { snug, room: name, by, user: self, site } = main.dataset;
const find = (id) => document.getElementById(id);
const [status, log, messages, members] = ["status", "log", "messages", "members"].map(find);
const [composer, text] = ["composer", "text"].map(find);

/** Why it may be over, for people. */
const WHY = {
  banned: "You have signed out.",
  kicked: "A moderator has ended your visit.",
  token_missing: "Your session has ended: sign in again.",
  room_forbidden: "You may not join this chat.",
};

// The client comes from Snug itself: it is one file.
const { joinRoom } = await import(`${snug}/snug-client.js`).catch((error) => {
  tell("The chat can't be reached. Try again in a moment.", true);
  throw error;
});

async function getToken() {
  const response = await fetch("token.php");
  // The session is over: the page shows the form again.
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(`token.php answered ${response.status}`);
  return response.text();
}

const room = joinRoom({
  url: snug,
  room: name,
  last: 50,
  // By a cookie there is nothing to do: the browser sends it, and Snug asks the site whose it is.
  getToken: by === "token" ? getToken : undefined,
});
composer.inert = false;

room.on("message", ({ user, time, data }) => {
  const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < 50;
  const item = document.createElement("li");
  // By who says it, which Snug vouches for, and not by what the message says of itself.
  if (user === site) item.className = "notice";
  else if (user === self) item.className = "own";
  const when = new Date(time);
  item.append(
    element("span", "who", user === site ? "The shop" : nameOf(user)),
    element(
      "time",
      "",
      when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
      when.toISOString(),
    ),
    element("p", "", typeof data?.text === "string" ? data.text : JSON.stringify(data)),
  );
  messages.append(item);
  if (isNear || user === self) log.scrollTop = log.scrollHeight;
});

room.on("members", (here) => {
  members.replaceChildren(
    ...[...here.values()].map(({ user, info }) =>
      element("li", user === self ? "own" : "", `${info.name ?? user}${user === self ? " (you)" : ""}`),
    ),
  );
});

room.on("status", ({ status: now, error }) => {
  composer.inert = now === "disconnected";
  if (now === "connected") tell("Connected");
  else if (now === "connecting") tell("Connecting …");
  else tell(WHY[error?.code] ?? `The chat is over (${error?.code}).`, true);
});

room.on("gap", () => {
  messages.append(element("li", "notice", "Some messages were missed here."));
});

composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const written = text.value.trim();
  if (written === "") return;
  text.value = "";
  try {
    await room.publish({ text: written });
    tell("Connected");
  } catch (error) {
    tell(`Not sent: ${error.message}`, true);
    // So that it can be mended.
    if (text.value === "") text.value = written;
  }
});

function tell(words, isWrong = false) {
  status.textContent = words;
  status.className = isWrong ? "wrong" : "";
}

/** An element with a text, which is never HTML. */
function element(tag, className, content, datetime) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  if (datetime) made.dateTime = datetime;
  return made;
}

/** A user's name: the id without what tells two of the same name apart. */
function nameOf(id) {
  return id.replace(/#[0-9a-f]{6}$/, "");
}
