// Tokens for development, from the Worker itself: there where `npm start` runs it, and nowhere else.

/** A token with these claims, or nothing where this Worker makes none. Throws where it cannot be reached. */
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
