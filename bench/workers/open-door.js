// Snug's rooms behind a door that asks nobody for anything: what a join costs without a check. It is for comparison
// alone, since whoever comes may do everything.

export { Room } from "./snug.js";

let users = 0;

export default {
  fetch(request, env) {
    const [, , , room] = new URL(request.url).pathname.split("/");
    const admission = {
      user: `user-${users++}`,
      info: null,
      can: ["receive", "publish", "signal", "presence", "history"],
      expires: Date.now() + 86_400_000,
      limits: {},
      options: { lines: true, echo: true, presence: false, resume: null, last: null },
    };
    const headers = { "x-snug-admission": JSON.stringify(admission), upgrade: "websocket" };
    return env.ROOMS.getByName(room).fetch("https://room/", { headers });
  },
};
