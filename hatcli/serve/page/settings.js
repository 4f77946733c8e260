// How pictures are to be enlarged: the form, what the browser remembers of it, and the query it becomes.
import { at, make } from "./dom.js";
import * as words from "./words.js";

const KEPT = "hat.settings";
const USUAL = { size: "2", measure: "scale", amount: "2.5", model: "auto", format: "same", quality: "95", alpha: "model", precision: "auto", tiling: "auto", tile: "256", tta: false, lossless: false, strip_metadata: false, at_once: false };
const RANGES = { scale: [1.01, 16, "any", "2.5"], width: [1, 1048576, 1, "3840"], height: [1, 1048576, 1, "2160"], long_edge: [1, 1048576, 1, "3840"], short_edge: [1, 1048576, 1, "2160"], megapixels: [0.01, 100000, "any", "12"] };
const LOSSY = ["same", "jpeg", "jpg", "webp", "avif", "heif", "heic", "jxl", "jpeg2000", "jp2"];

export class Settings {
  constructor(form) {
    this.form = form; this.onChange = () => {};
    this.apply(this.remembered());
    form.addEventListener("input", event => this.changed(event.target));
    form.addEventListener("submit", event => event.preventDefault());
    at("reset").onclick = () => { this.apply(USUAL); this.keep(); };
    at("unfold").onclick = () => this.unfold();
  }

  remembered() {
    try { return { ...USUAL, ...JSON.parse(localStorage.getItem(KEPT) || "{}") }; } catch { return { ...USUAL }; }
  }
  keep() { try { localStorage.setItem(KEPT, JSON.stringify(this.values())); } catch { /* a browser that keeps nothing */ } this.onChange(); }

  values() {
    const found = Object.fromEntries(new FormData(this.form));
    for (const box of this.form.querySelectorAll("input[type=checkbox]")) found[box.name] = box.checked;
    if (!found.model) found.model = this.model || "auto";
    return found;
  }

  apply(values) {
    this.model = String(values.model);
    for (const [name, value] of Object.entries(values)) {
      const field = this.form.elements[name];
      if (!field) continue;
      if (field.type === "checkbox") field.checked = value === true; else field.value = value;
      if (field instanceof HTMLSelectElement && field.selectedIndex < 0) field.value = USUAL[name] ?? field.options[0].value;
    }
    this.shape();
  }

  changed(field) {
    if (field.name === "measure") this.form.elements.amount.value = RANGES[field.value][3];
    if (field.name === "model") this.model = field.value;
    if (field.name === "size" && field.value === "other") { this.shape(); this.form.elements.amount.select(); }
    this.shape(); this.keep();
  }

  shape() {  // show what belongs to the choices made
    const now = this.values(), { amount } = this.form.elements, [min, max, step] = RANGES[now.measure] || RANGES.scale;
    at("other").hidden = now.size !== "other"; amount.min = min; amount.max = max; amount.step = step; amount.disabled = now.size !== "other";
    at("tileLabel").hidden = now.tiling !== "own"; this.form.elements.tile.disabled = now.tiling !== "own";
    at("qualityLabel").hidden = !LOSSY.includes(now.format); at("qualityShown").textContent = now.quality;
    at("summary").textContent = [words.wanted(this.query()), words.model(now.model), now.format === "same" ? "" : now.format.toUpperCase()].filter(Boolean).join(" · ");
  }

  // What to send: only what differs from the server's own choice.
  query() {
    const now = this.values(), wanted = {};
    if (now.size === "other") wanted[now.measure] = now.amount; else wanted.scale = now.size;
    wanted.model = now.model;
    if (now.format !== "same") wanted.format = now.format;
    if (LOSSY.includes(now.format)) wanted.quality = now.quality;
    if (now.alpha !== "model") wanted.alpha = now.alpha;
    if (now.precision !== "auto") wanted.precision = now.precision;
    if (now.tiling !== "auto") wanted.tile = now.tiling === "own" ? now.tile : "off";
    for (const name of ["tta", "lossless", "strip_metadata"]) if (now[name]) wanted[name] = "1";
    return wanted;
  }
  // How large a picture becomes with these settings; null while a field is empty.
  becomes(width, height) {
    const { scale, width: w, height: h, long_edge: long, short_edge: short, megapixels } = this.query();
    const factor = scale ?? (w && w / width) ?? (h && h / height) ?? (long && long / Math.max(width, height)) ?? (short && short / Math.min(width, height)) ?? (megapixels && Math.sqrt(megapixels * 1e6 / (width * height)));
    return Number(factor) > 0 ? [Math.round(width * factor), Math.round(height * factor)] : null;
  }
  // What a preview of a piece needs of it: the factor that comes nearest.
  factor() { const { scale } = this.query(); return Math.min(4, Math.max(2, Math.ceil(Number(scale) || 2))); }

  get atOnce() { return this.values().at_once; }
  valid() { return this.form.reportValidity(); }

  offer(formats) {
    for (const name of formats) if (name !== "same") at("format").add(new Option(name.toUpperCase(), name));
    this.apply(this.remembered());
  }
  choose(model) { this.model = model; const field = this.form.elements.model; if (field) field.value = model; this.shape(); this.keep(); }

  unfold() {
    const open = at("unfold").getAttribute("aria-expanded") !== "true";
    at("unfold").setAttribute("aria-expanded", open); this.form.classList.toggle("open", open);
  }
}

export function radio(name, value, title, about, { checked = false, type = "radio" } = {}) {
  return make("label", { class: "choice" }, make("input", { type, name, value, checked }), make("span", {}, make("b", {}, title), make("small", {}, about)));
}
