// Asks the server, with the key that lets this page ask.

import { ServerConnection } from "@jupyterlab/services/lib/serverconnection.js";

const KEY = "live-token";
export const NO_KEY = "Open the address that ./dev serve has printed: it has the key by which blocks run.";

// The key comes in the address once, and is kept for this address alone. It is in no request but the page's own.
export function takeKey() {
  const inAddress = /^#token=([\w-]+)$/.exec(location.hash);
  if (!inAddress) return;
  localStorage.setItem(KEY, inAddress[1]);
  history.replaceState(null, "", location.pathname + location.search);
}

export const hasKey = () => localStorage.getItem(KEY) !== null;

const base = `${location.origin}/live/`;
export const settings = () =>
  ServerConnection.makeSettings({
    baseUrl: base,
    wsUrl: base.replace(/^http/, "ws"),
    token: localStorage.getItem(KEY) ?? "",
    appendToken: true,
  });

// Ask for a page's session (`page`), or do something with its lab (`lab/start`); raises an error with words for readers.
export async function ask(method, what, page) {
  const url = `${base}api/${what}?page=${encodeURIComponent(page)}`;
  let answer;
  try {
    answer = await ServerConnection.makeRequest(url, { method }, settings());
  } catch (error) {
    throw error instanceof ServerConnection.NetworkError ? new Error("./dev serve has ended.") : error;
  }
  if (answer.status === 403) throw new Error(NO_KEY);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said;
}
