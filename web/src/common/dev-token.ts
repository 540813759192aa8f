// Requests development tokens. Only a Worker started by `npm start` issues them.

/** Requests a token with these claims. Resolves to `undefined` if the Worker issues none; throws if it is unreachable. */
export async function devToken(claims: object): Promise<string | undefined> {
  const response = await fetch("/dev/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(claims),
  });
  if (response.status === 404) return undefined;
  const answer: { token?: string; detail?: string } = await response.json();
  if (answer.token === undefined) throw new Error(answer.detail ?? `HTTP ${response.status}`);
  return answer.token;
}

/** Returns true if the Worker issues development tokens. Throws if it is unreachable. */
export const issuesDevTokens = async () => (await devToken({})) !== undefined;
