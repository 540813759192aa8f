// Snug's rooms behind a Worker that verifies no token, to measure the cost of a join without authentication.
// For the benchmark only: every client gets every permission.

export { Room } from "./built.js";

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
