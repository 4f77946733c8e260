// The lists of jobs: ready, in the queue, done; moving by drag and by keys; what is said of all of them together.
import { call, job as path, query, zip } from "./api.js";
import { ask, at, isolated, say } from "./dom.js";
import { Row } from "./row.js";
import * as words from "./words.js";

const FOLDED = 10, MANY = 12;  // rows shown of a list that is longer than MANY, until all of them are asked for

export class Queue {
  constructor(store, settings, look) {
    this.store = store; this.settings = settings; this.rows = new Map(); this.unfolded = new Set(); this.pending = false; this.onTrouble = () => {};
    this.acts = { look, start: job => this.start([job]), cancel: job => this.cancel(job), retry: job => this.retry(job), remove: job => this.remove([job]), becomes: (width, height) => settings.becomes(width, height) };
    store.listen((job, old) => this.heard(job, old));
    at("start").onclick = () => this.start(store.held());
    at("removeHeld").onclick = () => this.remove(store.held()); at("removeEnded").onclick = () => this.remove(store.ended());
    at("cancelAll").onclick = async () => { if (await ask(`Cancel ${words.count(store.queue().length, "picture")}?`, "Cancel them")) for (const job of store.queue().reverse()) this.cancel(job, false); };
    for (const id of ["held", "queue", "ended"]) {
      at(id).addEventListener("keydown", event => this.key(event)); at(id).addEventListener("pointerdown", event => this.drag(event));
      at(`${id}Rest`).onclick = () => this.unfold(id);
    }
  }

  heard(job, old) {
    const shown = job ?? old;
    if (shown.kind !== "upscale") return;
    if (job && old && old.state !== job.state) this.announce(job);
    if (job) this.rows.get(job.id)?.update(job);
    if (!this.pending) { this.pending = true; requestAnimationFrame(() => { this.pending = false; this.draw(); }); }
  }
  announce(job) {
    const name = isolated(job.name);
    if (job.state === "done") say(`${name} is done.`);
    if (job.state === "failed") say(`${name} failed: ${job.error}.`);
    if (job.state === "cancelled") say(`${name} is cancelled.`);
  }

  draw() {
    const { store } = this, held = store.held(), queue = store.queue(), ended = store.ended(), done = ended.filter(job => job.state === "done");
    if (this.dragging) return;
    const focused = document.activeElement;
    const shown = new Set([...this.fill("held", held), ...this.fill("queue", queue), ...this.fill("ended", ended)]), all = held.length + queue.length + ended.length;
    for (const [id, row] of this.rows) if (!shown.has(id)) { this.leave(row); this.rows.delete(id); }
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    at("heldTitle").textContent = `Ready (${held.length})`; at("queueTitle").textContent = `In the queue (${queue.length})`; at("endedTitle").textContent = `Finished (${ended.length})`;
    at("zip").href = zip(); at("zip").hidden = done.length < 2;
    at("start").disabled = !held.length; at("start").textContent = held.length ? `Enlarge ${words.count(held.length, "picture")}` : "Enlarge";
    at("tryModels").disabled = !all;
    document.body.classList.toggle("filled", all > 0 || at("arriving").children.length > 0);
    this.overall(queue, done.length);
  }
  resized() { for (const job of this.store.held()) this.rows.get(job.id)?.update(job); }
  fill(id, all) {  // the ids of those it shows
    const list = at(id), jobs = all.length > MANY && !this.unfolded.has(id) ? all.slice(0, FOLDED) : all;
    jobs.forEach((job, index) => {
      let row = this.rows.get(job.id);
      if (!row) this.rows.set(job.id, (row = new Row(job, this.acts)));
      if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] || null);
    });
    at(`${id}Group`).hidden = !jobs.length;
    at(`${id}Rest`).hidden = jobs.length === all.length; at(`${id}Rest`).textContent = `Show all ${all.length}`;
    return jobs.map(job => job.id);
  }
  unfold(id) {  // the focus goes to the first row that was hidden
    const { length } = at(id).children;
    this.unfolded.add(id); this.draw(); at(id).children[length]?.querySelector(".thumb").focus();
  }
  leave(row) {  // the focus goes to a neighbour, not to nowhere
    if (row.element.contains(document.activeElement)) (row.element.nextElementSibling || row.element.previousElementSibling)?.querySelector("button:not([hidden]):not([disabled])")?.focus();
    row.element.remove();
  }

  overall(queue, done) {
    const running = queue.find(job => job.state === "running"), left = remaining(queue, this.store.ended());
    const text = queue.length ? [`${words.count(queue.length, "picture")} to go`, left === null ? "" : `${words.about(left)} left`].filter(Boolean).join(" · ") : done ? "All done" : "";
    at("overall").textContent = text;
    document.title = running ? `${Math.floor(100 * running.done)} % · ${queue.length} to go · hat` : "hat";
  }

  async run(work) { try { return await work(); } catch (error) { this.onTrouble(error); return null; } }
  async change(job, what, body) { const answer = await this.run(() => call("POST", `${path(job.id)}/${what}`, body)); if (answer) this.store.put(answer); return answer; }

  async start(jobs) {
    if (!jobs.length || !this.settings.valid()) return;
    const wanted = query(this.settings.query());
    say(`${words.count(jobs.length, "picture")} in the queue.`);
    for (const job of jobs) await this.change(job, `start?${wanted}`);
  }
  async cancel(job, focus = true) {
    await this.change(job, "cancel");
    if (focus) requestAnimationFrame(() => this.rows.get(job.id)?.element.querySelector("[data-act=again]")?.focus({ preventScroll: true }));
  }
  async retry(job) {
    if (!this.settings.valid()) return;
    await this.change(job, `retry?${query(this.settings.query())}`);
  }
  async remove(jobs) {
    const results = jobs.filter(job => job.state === "done");
    if ((jobs.length > 1 || results.length) && !(await ask(jobs.length > 1 ? `Remove ${words.count(jobs.length, "picture")}${results.length ? " with their results" : ""}?` : `Remove ${isolated(jobs[0].name)} and its result?`, "Remove"))) return;
    for (const job of jobs) await this.run(() => this.removeOne(job));
  }
  async removeOne(job) {
    if (job.state === "queued") await call("DELETE", path(job.id));  // the first ends it, the second takes it away
    await call("DELETE", path(job.id));
    this.store.drop(job.id);
  }

  // Up and down the lists by arrows, with Alt: up and down the queue.
  key(event) {
    const element = event.target.closest("li"), row = element && this.rows.get(element.dataset.id), step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!row || event.ctrlKey || event.metaKey) return;
    if (event.key === "Delete") { if (["queued", "running"].includes(row.job.state) && !row.job.held) this.cancel(row.job); else this.remove([row.job]); } else if (!step) return;
    else if (event.altKey) this.step(row, step);
    else this.focusBeside(element, step);
    event.preventDefault();
  }
  focusBeside(element, step) {
    const every = [...document.querySelectorAll("#held > li, #queue > li, #ended > li")], next = every[every.indexOf(element) + step];
    next?.querySelector(".thumb").focus();
    if (next?.querySelector(".thumb").disabled) next.querySelector(".acts > *").focus();
  }
  async step(row, step) {
    if (row.job.state !== "queued") return;
    const mates = this.mates(row), from = mates.findIndex(job => job.id === row.job.id), to = from + step;
    if (to < 0 || to >= mates.length) return say(step < 0 ? "It is the first already." : "It is the last already.");
    await this.move(row.job, (step < 0 ? mates[to] : mates[to + 1]) ?? null);
    say(`${isolated(row.job.name)}: place ${to + 1} of ${mates.length}.`);
  }
  mates(row) { return (row.job.held ? this.store.held() : this.store.queue()).filter(job => job.state === "queued"); }
  move(job, before) { return this.change(job, "move", { before: before?.id ?? null }); }

  drag(down) {
    const grip = down.target.closest(".grip"), element = grip?.closest("li"), row = element && this.rows.get(element.dataset.id);
    if (!row || down.button) return;
    down.preventDefault(); grip.focus(); grip.setPointerCapture(down.pointerId); this.dragging = row; element.classList.add("lifted");
    const list = element.parentElement, mates = new Set(this.mates(row).map(job => job.id));
    // The others step aside: a row that was itself put elsewhere would lose the pointer.
    const over = event => {
      const rows = [...list.children].filter(other => mates.has(other.dataset.id)), from = rows.indexOf(element);
      const above = rows.filter(other => other !== element && event.clientY > other.getBoundingClientRect().top + other.offsetHeight / 2).length;
      if (above < from) element.after(...rows.slice(above, from)); else if (above > from) element.before(...rows.slice(from + 1, above + 1));
    };
    const end = event => {
      grip.removeEventListener("pointermove", over); grip.removeEventListener("pointerup", end); grip.removeEventListener("pointercancel", end);
      element.classList.remove("lifted"); this.dragging = null;
      const next = element.nextElementSibling;
      if (event.type === "pointerup") this.move(row.job, next && mates.has(next.dataset.id) ? this.rows.get(next.dataset.id).job : null).then(() => this.draw());
      else this.draw();
    };
    grip.addEventListener("pointermove", over); grip.addEventListener("pointerup", end); grip.addEventListener("pointercancel", end);
  }
}

// Seconds until the queue is empty, or null while nobody can know: what runs says its own; what waits is judged by how long
// a pixel of the result took with the same model and passes, among what was done last.
function remaining(queue, ended) {
  const pace = new Map(), kind = job => `${job.parameters?.model}/${job.parameters?.tta}/${job.parameters?.precision}`;
  for (const job of ended) if (job.state === "done" && job.seconds && job.width && !pace.has(kind(job))) pace.set(kind(job), job.seconds / (job.width * job.height));
  for (const job of queue) if (job.state === "running" && job.done > 0.05 && job.started && job.width && !pace.has(kind(job))) pace.set(kind(job), (Date.now() / 1000 - job.started) / job.done / (job.width * job.height));
  let seconds = 0, longest = 0, sideBySide = 0;  // as many as there are devices
  for (const job of queue) {
    if (job.state === "running") sideBySide++;
    if (job.state === "running" && job.seconds_left !== null) { seconds += job.seconds_left; longest = Math.max(longest, job.seconds_left); }
    else if (pace.has(kind(job)) && job.width) seconds += pace.get(kind(job)) * job.width * job.height * (1 - (job.done || 0));
    else return null;
  }
  return queue.length ? Math.max(longest, seconds / Math.max(1, sideBySide)) : null;
}
