// Requests and responses whose parts pass between JavaScript and Wasm in one call, because calls are a large part of
// the cost of a join. The parts are the lines of one text: URLs and headers contain no line breaks.

/**
 * Returns a header as a line, which is empty if the header is missing.
 * @param {Headers} headers
 * @param {string} name
 */
const line = (headers, name) => {
  const value = headers.get(name);
  return value === null ? "" : `=${value}`;
};

/**
 * Returns the URL of a request, and the headers with these names, which are separated by spaces.
 * @param {Request} request
 * @param {string} names
 */
export const readRequest = ({ url, headers }, names) => {
  let text = url;
  for (const name of names.split(" ")) text += `\n${line(headers, name)}`;
  return text;
};

/**
 * Returns the method of a client's request, its URL, the scheme, host and query of that, which are empty if it cannot
 * be read, and the headers with these names.
 *
 * The error of the parser is dropped, because it contains the query and thus perhaps a token.
 * @param {Request} request
 * @param {string} names
 */
export const readClientRequest = (request, names) => {
  const { protocol = "", host = "", search = "" } = URL.parse(request.url) ?? {};
  return `${request.method}\n${protocol}\n${host}\n${search}\n${readRequest(request, names)}`;
};

/**
 * Sends a request to an object.
 * @param {any} namespace
 * @param {string} name
 * @param {object | undefined} options
 * @param {string} url
 * @param {string} headers a line for each name and each value
 * @param {any} body `undefined` for a GET request
 */
export const fetchObject = (namespace, name, options, url, headers, body) => {
  const lines = headers.split("\n");
  /** @type {Record<string, string>} */
  const record = {};
  for (let index = 0; index + 1 < lines.length; index += 2) {
    record[lines[index] ?? ""] = lines[index + 1] ?? "";
  }
  const init = body === undefined ? { headers: record } : { method: "POST", headers: record, body };
  return namespace.getByName(name, options).fetch(url, init);
};

/**
 * Returns the response to a WebSocket upgrade.
 * @param {any} webSocket the client's end
 * @param {string | undefined} protocol the subprotocol that was chosen
 */
export const upgradeResponse = (webSocket, protocol) => {
  const headers = protocol === undefined ? undefined : { "sec-websocket-protocol": protocol };
  const init = { status: 101, webSocket, headers };
  return new Response(null, /** @type {ResponseInit} */ (init));
};
