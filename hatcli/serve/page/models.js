// The models: those that are here to choose from, the others to fetch.
import { call } from "./api.js";
import { at, make, say } from "./dom.js";
import { radio } from "./settings.js";
import * as words from "./words.js";

export class Models {
  constructor(settings) { this.settings = settings; this.list = []; this.rows = new Map(); this.told = new Map(); }

  async load() { this.list = (await call("GET", "/models")).models; this.draw(); }
  here() { return this.list.filter(model => Object.values(model.installed).some(Boolean)); }

  draw() {
    const chosen = this.settings.model, here = this.here(), focus = document.activeElement?.value;
    const auto = radio("model", "auto", "Automatic", "the best model that is here, for each picture", { checked: true });
    at("installed").replaceChildren(auto, ...here.map(model => radio("model", model.name, words.model(model.name), `for ${model.about}`)));
    const fields = [...at("installed").querySelectorAll("input")], found = fields.find(field => field.value === chosen) || fields[0];
    found.checked = true; this.settings.model = found.value; this.settings.shape();
    if (focus) fields.find(field => field.value === focus)?.focus();
    this.drawOthers();
  }
  drawOthers() {
    const missing = this.list.filter(model => !Object.values(model.installed).some(Boolean));
    at("others").hidden = !missing.length;
    at("fetchable").replaceChildren(...missing.map(model => this.row(model)));
  }

  // The factor to fetch: what is set, so that nobody waits for three.
  scale(model) { const wanted = this.settings.factor(); return model.scales.includes(wanted) ? wanted : Math.max(...model.scales); }

  row(model) {
    const bar = make("progress", { max: 1, value: 0, "aria-label": `Fetching ${model.name}`, hidden: true }), note = make("small", { class: "bad", role: "alert" });
    const fetch = make("button", { type: "button", "aria-label": `Fetch ${model.name}`, onclick: () => this.fetch(model) }, "Fetch");
    const size = model.bytes[this.scale(model)];
    const facts = [model.scales.map(scale => `${scale}×`).join(" "), size ? words.bytes(size) : "", model.licence || "licence not stated"].filter(Boolean).join(" · ");
    const row = make("li", {}, make("span", {}, make("b", {}, model.title), make("small", {}, `for ${model.about}`), make("small", { class: "facts" }, facts), bar, note), fetch);
    this.rows.set(model.name, { bar, fetch, note });
    if (this.told.has(model.name)) this.show(this.told.get(model.name));
    return row;
  }

  async fetch(model) {
    this.show({ name: model.name, stage: "waiting" });
    try { await call("POST", `/models/${encodeURIComponent(model.name)}/download?scale=${this.scale(model)}`); } catch (error) { this.show({ name: model.name, stage: "failed", error: error.message, hint: error.hint }); }
  }

  // An event of a download: { name, stage, done, total, error, hint }.
  show(event) {
    this.told.set(event.name, event);
    const parts = this.rows.get(event.name);
    if (!parts) return;
    const failed = event.stage === "failed", running = !failed && event.stage !== "installed", share = event.total ? event.done / event.total : 0;
    parts.bar.hidden = !running; parts.bar.value = share; parts.fetch.disabled = running;
    parts.fetch.textContent = running ? (event.stage === "downloading" ? `${Math.floor(100 * share)} %` : `${event.stage}…`) : failed ? "Try again" : "Fetch";
    parts.note.textContent = failed ? [event.error, event.hint].filter(Boolean).join(": ") : "";
    if (event.stage === "installed") { this.told.delete(event.name); say(`${event.name} is here.`); this.load().catch(() => {}); }
  }
}
