// One job on the page: its picture, what is said of it, and what can be done with it.
import { address } from "./api.js";
import { button, icon, isolated, make, named, set } from "./dom.js";
import * as words from "./words.js";

export class Row {
  constructor(job, acts) {
    this.acts = acts; this.label = isolated(job.name);
    this.grip = button("grip", `Move ${this.label}: Alt and arrows, or drag`, null, { cls: "grip" });
    this.thumb = make("button", { type: "button", class: "thumb", onclick: () => acts.look(this.job) }, icon("picture"));
    this.title = make("p", { class: "name", dir: "auto", title: this.label }, named(job.name));
    this.facts = make("p", { class: "facts" }); this.note = make("p", { class: "note" });
    this.bar = make("progress", { max: 1, "aria-label": `Progress of ${this.label}` });
    this.buttons = make("div", { class: "acts" });
    this.element = make("li", { class: "row", "data-id": job.id }, this.grip, this.thumb, make("div", { class: "what" }, this.title, this.facts, this.bar, this.note), this.buttons);
    this.update(job);
  }

  update(job) {
    const old = this.job;
    this.job = job; this.element.dataset.state = job.held ? "held" : job.state;
    this.grip.hidden = job.state !== "queued";
    this.picture(job, old);
    const before = job.source_width ? words.size(job.source_width, job.source_height) : "";
    const large = job.held && before ? this.acts.becomes(job.source_width, job.source_height) : job.width ? [job.width, job.height] : null, after = large ? words.size(...large) : "";
    this.facts.replaceChildren(...facts(job, before, after));
    this.bar.hidden = job.state !== "running"; this.bar.value = job.done || 0;
    this.say(job);
    if (!old || old.state !== job.state || old.held !== job.held) this.control(job);
  }

  picture(job, old) {
    set(this.thumb, { "aria-label": `Look at: ${this.label}`, title: job.state === "done" ? "Before and after" : "Look at it", disabled: !job.source_width });
    if (this.image || !job.source_width || (old && old.source_width && old.state === job.state)) return;
    const image = make("img", { alt: "", decoding: "async", src: address(job.id, "thumbnail") });
    image.onload = () => { this.image = image; this.thumb.replaceChildren(image); };
  }

  say(job) {
    const { note } = this, bad = job.state === "failed";
    note.className = bad ? "note bad" : "note"; note.hidden = false;
    if (bad) note.replaceChildren(job.error || "failed", ...(job.hint ? [make("small", {}, job.hint)] : []));
    else if (job.state === "running") note.textContent = progress(job);
    else if (job.state === "cancelled") note.textContent = "Cancelled";
    else if (job.state === "done" && job.notes?.length) note.textContent = job.notes.join(" · ");
    else { note.textContent = ""; note.hidden = true; }
  }

  control(job) {
    const { acts, label } = this, made = [], focused = this.buttons.contains(document.activeElement) && document.activeElement.dataset.act;
    const add = (act, name, text, run) => { const one = button(name, `${text} ${label}`, () => run(this.job)); one.dataset.act = act; one.title = text; made.push(one); };
    if (job.held) { add("go", "go", "Enlarge now:", acts.start); add("end", "remove", "Remove", acts.remove); }
    else if (job.state === "queued" || job.state === "running") add("end", "cancel", "Cancel", acts.cancel);
    else {
      if (job.state === "done") {
        made.push(make("button", { type: "button", class: "compare", "aria-label": `Compare before and after: ${label}`, "data-act": "compare", onclick: () => acts.look(this.job) }, "Compare"));
        made.push(make("a", { class: "choose", href: address(job.id, "result"), download: "", "aria-label": `Download ${isolated(job.output || job.name)}`, title: "Download", "data-act": "take" }, icon("take")));
      }
      add("again", "again", job.state === "done" ? "Enlarge again as set now:" : "Try again:", acts.retry);
      add("end", "remove", "Remove", acts.remove);
    }
    this.buttons.replaceChildren(...made);
    if (focused) (made.find(one => one.dataset.act === focused) || made[0]).focus();
  }
}

function facts(job, before, after) {
  const said = [];
  if (before && after && !["cancelled", "failed"].includes(job.state)) said.push(make("span", { class: "sizes" }, make("span", {}, before), make("span", { "aria-label": "becomes", role: "img" }, " → "), make("b", {}, after)));
  else if (before) said.push(before);
  const model = job.model || job.parameters?.model;
  if (model && !job.held) said.push(words.model(model));
  if (job.state === "done") { if (job.result_bytes) said.push(words.bytes(job.result_bytes)); if (job.seconds) said.push(words.took(job.seconds)); } else said.push(words.bytes(job.bytes));
  if (job.on_server && job.state === "done") said.push("saved beside the original");
  const whole = said.map(part => (typeof part === "string" ? make("span", { class: "part" }, part) : part));  // a line breaks between them
  return whole.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

function progress(job) {
  const said = [];
  if (job.tiles > 1) said.push(`tile ${Math.min(job.tile + (job.done < 1 ? 1 : 0), job.tiles)} of ${job.tiles}`);
  if (job.done > 0) said.push(`${Math.floor(100 * job.done)} %`);
  if (job.seconds_left !== null && job.seconds_left !== undefined) said.push(`${words.about(job.seconds_left)} left`);
  return said.join(" · ") || "starting…";
}
