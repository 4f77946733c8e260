// The window that shows a picture before and after, with the viewer that `hat compare` uses too.
import { address } from "./api.js";
import { bicubically, loaded } from "./bicubically.js";
import { at, named, say } from "./dom.js";
import { Viewer } from "./viewer.js";
import * as words from "./words.js";

const BEFORE = "before (bicubic)";

export class Compare {
  constructor(store) {
    this.store = store; this.box = at("compare"); this.viewer = new Viewer(at("stage")); this.made = []; this.closing = new AbortController();
    const { viewer } = this;
    viewer.onDraw = () => at("difference").setAttribute("aria-pressed", viewer.view.difference);
    viewer.onChoose = () => { at("leftSide").value = viewer.choice.a; at("rightSide").value = viewer.choice.b; };
    at("difference").onclick = () => viewer.toggleDifference(); at("fit").onclick = () => viewer.fit(); at("one").onclick = () => viewer.oneToOne();
    at("before").onclick = () => this.turn(-1); at("after").onclick = () => this.turn(1); at("closeCompare").onclick = () => this.box.close();
    at("leftSide").onchange = event => { viewer.choice.a = Number(event.target.value); viewer.choose(); };
    at("rightSide").onchange = event => { viewer.choice.b = Number(event.target.value); viewer.choose(); };
    this.box.addEventListener("keydown", event => this.key(event));
    this.box.addEventListener("close", () => this.forget());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const turn = { n: 1, p: -1 }[event.key.toLowerCase()];
    if (turn) this.turn(turn); else if (!this.viewer.models.length || !this.viewer.key(event)) return;
    event.preventDefault();
  }

  open(job) {
    this.job = job;
    const done = job.state === "done";
    at("before").hidden = at("after").hidden = false;
    at("take").hidden = !done; if (done) at("take").href = address(job.id, "result");
    if (!done) return this.show(job, [{ name: "the picture", source: address(job.id, "view/source"), facts: words.size(job.source_width, job.source_height) }], job.source_width);
    const after = { name: words.model(job.model || "after"), source: address(job.id, "view/result"), facts: [words.size(job.width, job.height), job.seconds ? words.took(job.seconds) : ""].filter(Boolean).join(" · ") };
    return this.show(job, [{ name: BEFORE, from: address(job.id, "view/source"), facts: words.size(job.source_width, job.source_height) }, after], job.width);
  }
  // Pieces enlarged by several models, against each other.
  openTrials(title, models, chosen) {
    at("before").hidden = at("after").hidden = at("take").hidden = true; this.job = null;
    return this.show({ name: title }, models, 0, chosen);
  }

  async show(job, models, width, right = 1) {
    this.forget(); this.closing = new AbortController();
    const { signal } = this.closing, last = models.at(-1);
    at("compareTitle").replaceChildren(named(job.name)); at("compareNote").textContent = "Loading…";
    if (!this.box.open) this.box.showModal();
    at("stage").focus();
    this.box.classList.toggle("single", models.length < 2);
    try {
      const image = await loaded(last.source);
      if (signal.aborted) return;
      const w = image.naturalWidth, h = image.naturalHeight, density = width > w ? width / w : 1;
      this.put(models.map(model => ({ ...model, source: model.source || model.from })), w, h, density, right);
      at("compareNote").textContent = density > 1 ? `Shown at ${words.size(w, h)}: the file itself has ${words.size(job.width, job.height)}.` : "";
      await this.smooth(models, w, h, signal);
    } catch (error) {
      if (!signal.aborted) at("compareNote").textContent = `This picture cannot be shown: ${error.message}. It can still be downloaded.`;
    }
  }
  put(models, w, h, density, right) {
    for (const id of ["leftSide", "rightSide"]) at(id).replaceChildren(...models.map((model, index) => new Option(model.name, index)));
    this.viewer.view.difference = false; this.viewer.show(models, w, h, density);
    if (right > 1) { this.viewer.choice.b = right; this.viewer.choose(); }
  }
  // The browser's own enlargement stands there first; the bicubic one takes its place when it is made.
  async smooth(models, w, h, signal) {
    for (const [index, model] of models.entries()) {
      if (!model.from) continue;
      const url = await bicubically(model.from, w, h, signal);
      this.made.push(url);
      await loaded(url);
      if (signal.aborted) return;
      this.viewer.images[index].src = url; this.viewer.compared = "";
      if (this.viewer.view.difference) this.viewer.subtract();
    }
    at("stage").dataset.ready = "true";
  }

  turn(step) {
    if (!this.job) return;
    const every = [...this.store.held(), ...this.store.queue(), ...this.store.ended()].filter(job => job.source_width);
    const next = every[(every.findIndex(job => job.id === this.job.id) + step + every.length) % every.length];
    if (next && next.id !== this.job.id) { this.open(next); say(next.name); }
  }

  forget() {
    this.closing.abort(); delete at("stage").dataset.ready;
    for (const url of this.made.splice(0)) URL.revokeObjectURL(url);
  }
}
