// Pictures that lie on the server already, under the folder it was started with: looked up and chosen by name.
import { call, query } from "./api.js";
import { at, make, named } from "./dom.js";
import * as words from "./words.js";

export class Rooted {
  constructor(store, settings) {
    Object.assign(this, { store, settings }); this.onTrouble = () => {}; this.path = "";
    at("chooseServer").onclick = () => { at("rooted").showModal(); this.show(""); };
    at("closeRooted").onclick = () => at("rooted").close(); at("addRooted").onclick = () => this.add();
    at("listing").addEventListener("change", () => this.count());
  }

  async show(path) {
    let found;
    try { found = await call("GET", `/root?${query({ path })}`); } catch (error) { this.onTrouble(error); return; }
    this.path = path;
    const steps = path ? path.split("/") : [];
    at("crumbs").replaceChildren(...["Root", ...steps].map((name, index) => make("button", { type: "button", class: "plain", "aria-current": index === steps.length ? "true" : null, onclick: () => this.show(steps.slice(0, index).join("/")) }, named(name))));
    const below = name => (path ? `${path}/${name}` : name);
    const folders = found.folders.map(name => make("li", {}, make("button", { type: "button", class: "folder", onclick: () => this.show(below(name)) }, named(name))));
    const pictures = found.pictures.map(({ name, bytes }) => make("li", {}, make("label", { class: "tick" }, make("input", { type: "checkbox", value: below(name) }), make("span", {}, named(name), make("small", {}, words.bytes(bytes))))));
    const all = pictures.length > 1 ? [make("li", {}, make("label", { class: "tick" }, make("input", { type: "checkbox", id: "allRooted", onchange: event => this.tickAll(event.target.checked) }), make("span", {}, `All ${pictures.length}`)))] : [];
    at("listing").replaceChildren(...(folders.length + pictures.length ? [...folders, ...all, ...pictures] : [make("li", { class: "fine" }, "No pictures here.")]));
    this.count();
  }

  fields() { return [...at("listing").querySelectorAll("input:not(#allRooted)")]; }
  chosen() { return this.fields().filter(field => field.checked).map(field => field.value); }
  tickAll(on) { for (const field of this.fields()) field.checked = on; }
  count() { const { length } = this.chosen(); at("addRooted").disabled = !length; at("addRooted").textContent = length ? `Add ${words.count(length, "picture")}` : "Add"; }

  async add() {
    const hold = this.settings.atOnce ? {} : { hold: "1" };
    try {
      const { jobs, refused } = await call("POST", "/jobs/from-root", { paths: this.chosen(), ...this.settings.query(), ...hold });
      for (const job of jobs) this.store.put(job);
      for (const one of refused || []) this.onRefused(one.name, one.error, one.hint);
      at("rooted").close();
    } catch (error) { this.onTrouble(error); }
  }
}
