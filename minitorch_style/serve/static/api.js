// The server's HTTP API. Whatever it refuses becomes an Error with its sentence and status.

async function ask(method, path, body, type) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: { "x-minitorch-style": "1", ...(type && { "content-type": type }) } });
  } catch {
    throw Object.assign(new Error("no answer"), { status: 0 });
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.error ?? `${answer.status}`), { status: answer.status });
}

export const get = async (path) => (await ask("GET", path)).json();
export const blob = async (path) => (await ask("GET", path)).blob();
export const upload = async (file) => (await ask("PUT", "/pictures", file, "application/octet-stream")).json();
export const submit = async (job) => (await ask("POST", "/jobs", JSON.stringify(job), "application/json")).json();
export const stop = (id) => ask("POST", `/jobs/${id}/stop`);
export const discard = (id) => ask("DELETE", `/jobs/${id}`);

// Calls listener(event) for each event of the job; `lost` while the server does not answer, `gone` when the job is not there.
export function follow(id, listener, lost, gone) {
  const source = new EventSource(`/jobs/${id}/events`);
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (["finished", "failed", "discarded"].includes(event.type)) source.close();
    listener(event);
  };
  source.onerror = () => (source.readyState === EventSource.CLOSED ? gone() : lost());
  return source;
}
