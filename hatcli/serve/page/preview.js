// A piece of a picture enlarged at once by each chosen model, before the whole is run.
import { address, call, query } from "./api.js";
import { at, isolated, make, named, set } from "./dom.js";
import { radio } from "./settings.js";
import * as words from "./words.js";

const SIDE = 200;  // pixels of the picture

export class Preview {
  constructor(store, settings, models, compare) {
    Object.assign(this, { store, settings, models, compare }); this.trials = new Map(); this.x = this.y = 0;
    at("tryModels").onclick = () => this.open();
    at("closePreview").onclick = () => at("preview").close(); at("try").onclick = () => this.run();
    at("square").addEventListener("keydown", event => this.key(event)); at("map").addEventListener("pointerdown", event => this.drag(event));
    store.listen((job, old) => { const shown = job ?? old; if (shown.kind === "preview") this.heard(shown); });
    at("preview").addEventListener("close", () => this.forget()); addEventListener("resize", () => this.place());
  }

  open(job = this.store.held()[0] || this.store.queue()[0] || this.store.ended()[0]) {
    if (!job?.source_width) return;
    this.job = job; this.forget();
    at("previewTitle").replaceChildren("A piece of ", named(job.name));
    at("mapPicture").src = address(job.id, "view/source"); at("mapPicture").onload = () => this.place();
    this.w = Math.min(SIDE, job.source_width); this.h = Math.min(SIDE, job.source_height);
    this.x = Math.round((job.source_width - this.w) / 2); this.y = Math.round((job.source_height - this.h) / 2);
    const chosen = new Set(this.settings.model === "auto" ? this.models.here().slice(0, 4).map(model => model.name) : [this.settings.model, ...this.models.here().slice(0, 2).map(model => model.name)]);
    at("contestants").replaceChildren(make("legend", {}, "Models"), ...this.models.here().map(model => radio("contestant", model.name, words.model(model.name), `for ${model.about}`, { type: "checkbox", checked: chosen.has(model.name) })));
    at("preview").showModal(); at("square").focus(); this.place();
  }

  place() {
    const image = at("mapPicture"), style = at("square").style, scale = image.clientWidth / (this.job?.source_width || 1);
    style.left = image.offsetLeft + this.x * scale + "px"; style.top = image.offsetTop + this.y * scale + "px"; style.width = this.w * scale + "px"; style.height = this.h * scale + "px";
    set(at("square"), { "aria-label": `Piece of ${words.size(this.w, this.h)} pixels at ${this.x} from the left, ${this.y} from the top` });
  }
  moveTo(x, y) {
    this.x = Math.round(Math.min(this.job.source_width - this.w, Math.max(0, x))); this.y = Math.round(Math.min(this.job.source_height - this.h, Math.max(0, y)));
    this.place();
  }
  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], far = event.shiftKey ? SIDE : 16;
    if (step) { event.preventDefault(); this.moveTo(this.x + far * step[0], this.y + far * step[1]); }
  }
  drag(down) {
    if (!this.job) return;
    down.preventDefault(); at("square").focus(); at("map").setPointerCapture(down.pointerId);
    const put = event => { const box = at("mapPicture").getBoundingClientRect(), scale = this.job.source_width / box.width; this.moveTo((event.clientX - box.left) * scale - this.w / 2, (event.clientY - box.top) * scale - this.h / 2); };
    const end = () => { at("map").removeEventListener("pointermove", put); at("map").removeEventListener("pointerup", end); at("map").removeEventListener("pointercancel", end); };
    put(down); at("map").addEventListener("pointermove", put); at("map").addEventListener("pointerup", end); at("map").addEventListener("pointercancel", end);
  }

  async run() {
    this.forget();
    const names = [...at("contestants").querySelectorAll("input:checked")].map(field => field.value);
    at("noTrials").hidden = names.length > 0;
    await Promise.all(names.map(name => this.ask(name)));
  }
  async ask(name) {
    const trial = { name, job: null, picture: make("button", { type: "button", class: "shown", disabled: true }), state: make("p", { class: "facts" }, "waiting…") };
    trial.use = make("button", { type: "button", class: "choose", onclick: () => { this.settings.choose(name); at("preview").close(); } }, `Take ${words.model(name)}`);
    trial.element = make("article", {}, make("h3", {}, words.model(name)), trial.picture, trial.state, trial.use);
    at("outcomes").append(trial.element);
    trial.picture.onclick = () => this.face(trial);
    const key = Symbol(name);  // until the server gave a number
    this.trials.set(key, trial);
    try {
      const job = await call("POST", `/previews?${query({ scale: this.settings.factor(), model: name, x: this.x, y: this.y, size: SIDE, job: this.job.id })}`);
      if (this.trials.get(key) !== trial) return;
      this.trials.delete(key); this.trials.set(job.id, trial);
      this.store.put(job); this.heard(this.store.jobs.get(job.id));
    } catch (error) { trial.state.textContent = [error.message, error.hint].filter(Boolean).join(": "); trial.state.className = "bad"; }
  }

  heard(job) {
    const trial = this.trials.get(job.id);
    if (!trial) return;
    trial.job = job;
    if (job.state === "running") trial.state.textContent = job.tiles > 1 ? `tile ${job.tile} of ${job.tiles}` : "enlarging…";
    if (job.state === "failed") { trial.state.textContent = [job.error, job.hint].filter(Boolean).join(": "); trial.state.className = "bad"; }
    if (job.state === "done" && trial.picture.disabled) {
      this.before(job);
      trial.state.textContent = [words.size(job.width, job.height), job.seconds ? words.took(job.seconds) : ""].filter(Boolean).join(" · ");
      trial.picture.append(make("img", { src: address(job.id, "view/result"), alt: `The piece by ${trial.name}` })); trial.picture.disabled = false;
      set(trial.picture, { "aria-label": `Compare ${words.model(trial.name)} with the others` });
    }
  }
  before(job) {  // the piece as it was, once, as large
    if (this.shown) return;
    this.shown = make("article", {}, make("h3", {}, "Before"), make("div", { class: "shown" }, make("img", { src: address(job.id, "view/source"), alt: "The piece as it was" })), make("p", { class: "facts" }, words.size(job.source_width, job.source_height)));
    at("outcomes").prepend(this.shown);
  }
  face(trial) {  // this one to the right, "before" to the left
    const shown = [...at("outcomes").children], done = [...this.trials.values()].filter(one => one.job?.state === "done").sort((a, b) => shown.indexOf(a.element) - shown.indexOf(b.element));
    const models = done.map(one => ({ name: words.model(one.name), source: address(one.job.id, "view/result"), facts: one.state.textContent }));
    this.compare.openTrials(`A piece of ${isolated(this.job.name)}`, [{ name: "before (bicubic)", from: address(trial.job.id, "view/source") }, ...models], done.indexOf(trial) + 1);
  }

  forget() { this.trials.clear(); this.shown = null; for (const old of [...at("outcomes").querySelectorAll("article")]) old.remove(); at("noTrials").hidden = false; }
}
