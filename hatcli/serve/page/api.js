// The server's answers; every change carries the header that no foreign page can send.
const ROOT = "/api/v1";

export class Refused extends Error {
  constructor(status, message, hint) { super(message); this.status = status; this.hint = hint || null; }
}

function refusal(status, text) {
  if (status === 401) return new Refused(401, "This page is not signed in any more", "open the address that hat serve printed");
  try {
    const said = JSON.parse(text);
    if (typeof said.error === "string") return new Refused(status, said.error, said.hint);
  } catch { /* no words of ours: say the number */ }
  return new Refused(status, `The server answered ${status}`, null);
}

export async function call(method, path, json) {
  const headers = { "X-Hat": "1" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, credentials: "same-origin", body: json === undefined ? undefined : JSON.stringify(json) });
  } catch {
    throw new Refused(0, "The server does not answer", "look at the terminal where hat serve runs");
  }
  const text = await answer.text();
  if (!answer.ok) throw refusal(answer.status, text);
  return text ? JSON.parse(text) : null;
}

export const query = values => new URLSearchParams(values).toString();

// A file's way to the server: { done: Promise of the job, stop() }.
export function upload(file, values, onProgress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", `${ROOT}/jobs?${query(values)}`);
    request.setRequestHeader("X-Hat", "1"); request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = event => onProgress(event.total ? event.loaded / event.total : 0);
    request.onload = () => (request.status < 300 ? resolve(JSON.parse(request.responseText)) : reject(refusal(request.status, request.responseText)));
    request.onerror = () => reject(new Refused(0, "The upload broke off", "the server or the connection went away: drop the picture again"));
    request.onabort = () => reject(new Refused(-1, "cancelled", null));
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}

// Where a file of a job lies; ids are the server's own, and are still checked.
export function address(id, what) {
  if (!/^[0-9a-f]+$/.test(id)) throw new Error("no id");
  return `${ROOT}/jobs/${id}/${what}`;
}
export const job = id => address(id, "").slice(ROOT.length, -1);
export const zip = ids => `${ROOT}/jobs/zip${ids ? `?ids=${ids.join(",")}` : ""}`;
export const EVENTS = `${ROOT}/events`;
