// All jobs as the server last told them, and who wants to hear of changes.
import { call, EVENTS } from "./api.js";

const REST = 10_000;  // milliseconds between two looks while nobody sees the page
const AGAIN = 1_000;  // milliseconds until a broken line is tried again

export class Store {
  constructor() { this.jobs = new Map(); this.listeners = []; this.onModel = this.onOffline = () => {}; this.source = null; }

  listen(listener) { this.listeners.push(listener); }
  tell(job, old) { for (const listener of this.listeners) listener(job, old); }

  put(job) {
    const old = this.jobs.get(job.id);
    if (old && old.attempts > job.attempts) return;  // an answer that was overtaken by an event
    this.jobs.set(job.id, job); this.tell(job, old);
  }
  drop(id) { const old = this.jobs.get(id); if (old) { this.jobs.delete(id); this.tell(null, old); } }

  all(kind = "upscale") { return [...this.jobs.values()].filter(job => job.kind === kind); }
  held() { return this.all().filter(job => job.state === "queued" && job.held).sort(byPosition); }
  queue() { return this.all().filter(job => job.state === "running" || (job.state === "queued" && !job.held)).sort((a, b) => (b.state === "running") - (a.state === "running") || byPosition(a, b)); }
  ended() { return this.all().filter(job => ["done", "failed", "cancelled"].includes(job.state)).sort((a, b) => b.ended - a.ended); }

  // What the server knows; jobs it does not know any more go.
  async load() {
    const { jobs } = await call("GET", "/jobs"), known = new Set(jobs.map(job => job.id));
    for (const id of [...this.jobs.keys()]) if (!known.has(id)) this.drop(id);
    for (const job of jobs) this.put(job);
  }

  // Hear of every change. A page nobody sees gives its line back: a browser has six for all its tabs.
  connect() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.wake()));
    addEventListener("online", () => this.wake());
    this.wake();
  }
  rest() { this.close(); this.resting = setInterval(() => this.load().catch(() => {}), REST); }
  close() { if (this.source) this.source.close(); this.source = null; clearTimeout(this.later); clearInterval(this.resting); }
  // The line is broken: the browser takes it up again with Last-Event-ID, but slower and slower, and not after every error.
  seek(source) {
    clearTimeout(this.later);
    this.later = setTimeout(async () => {
      if (source !== this.source || source.readyState === EventSource.OPEN) return;
      try { await this.load(); } catch (error) { if (error.status === 401) this.onOffline(error); this.seek(source); return; }
      if (source === this.source && source.readyState !== EventSource.OPEN) this.wake();
    }, AGAIN);
  }
  wake() {
    this.close();
    const source = this.source = new EventSource(EVENTS);
    source.onopen = () => { this.onOffline(null); this.load().catch(error => this.onOffline(error)); };
    source.onerror = () => { if (source === this.source) { this.onOffline(new Error("offline")); this.seek(source); } };
    const hear = (kind, act) => source.addEventListener(kind, event => act(JSON.parse(event.data)));
    hear("job", job => this.put(job)); hear("removed", ({ id }) => this.drop(id)); hear("model", model => this.onModel(model));
    hear("hello", ({ reset }) => { if (reset) this.load().catch(() => {}); });
  }
}

const byPosition = (a, b) => (a.position ?? 0) - (b.position ?? 0);
