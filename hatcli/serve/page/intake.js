// Pictures on their way in: dropped, chosen, pasted, whole folders; what is too large is told before it is sent.
import { Refused, upload } from "./api.js";
import { at, button, isolated, make, named, say, set } from "./dom.js";
import { measure } from "./measure.js";
import * as words from "./words.js";

const AT_ONCE = 1;  // uploads side by side; one after the other they arrive in the order they were dropped

export class Intake {
  constructor(store, settings) {
    this.store = store; this.settings = settings; this.limits = null; this.waiting = []; this.running = 0; this.depth = 0;
    at("choose").onclick = () => at("files").click();
    at("chooseFolder").onclick = () => at("folder").click();
    for (const id of ["files", "folder"]) at(id).onchange = () => { this.add([...at(id).files], id === "folder"); at(id).value = ""; };
    at("dismiss").onclick = () => { at("refused").replaceChildren(); this.draw(); at("choose").focus(); };
    addEventListener("dragenter", event => this.hover(event, 1)); addEventListener("dragleave", event => this.hover(event, -1));
    addEventListener("dragover", event => { if (hasFiles(event)) { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; } });
    addEventListener("drop", event => this.dropped(event));
    addEventListener("paste", event => { if (event.clipboardData?.files.length) this.add([...event.clipboardData.files]); });
    addEventListener("beforeunload", event => { if (this.running + this.waiting.length) event.preventDefault(); });
  }

  know(limits) {
    this.limits = limits;
    this.endings = new Set(limits.suffixes);
    at("files").accept = ["image/*", ...this.endings].join(",");
    at("limits").textContent = `Up to ${words.bytes(limits.max_bytes)} and ${words.megapixels(limits.max_pixels)} each. Nothing leaves ${local() ? "this computer" : "the server"}.`;
    at("chooseServer").hidden = !limits.root;
  }

  hover(event, step) { if (hasFiles(event)) { this.depth = Math.max(0, this.depth + step); at("veil").hidden = this.depth === 0 || Boolean(document.querySelector("dialog[open]")); } }

  async dropped(event) {
    if (!hasFiles(event)) return;
    event.preventDefault(); this.depth = 0; at("veil").hidden = true;
    const entries = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry?.()), plain = [...event.dataTransfer.files];
    if (!entries.some(entry => entry?.isDirectory)) return this.add(plain);
    const found = [];
    for (const entry of entries) if (entry) for await (const file of walk(entry)) found.push(file);
    this.add(found, true);
  }

  // From folders, what is no picture is passed over in silence but for a number.
  add(files, fromFolder = false) {
    const pictures = fromFolder ? files.filter(file => this.isPicture(file)) : files;
    const passed = files.length - pictures.length;
    if (pictures.length) say(`${words.count(pictures.length, "picture")} added.`);
    if (passed) say(`${words.count(passed, "other file")} passed over.`);
    if (fromFolder && !pictures.length) this.refuse("This folder", "no pictures in it", "choose another folder");
    for (const file of pictures) this.waiting.push(this.row(file));
    this.draw(); this.next();
  }
  isPicture(file) { return !file.name.startsWith(".") && (!this.endings || this.endings.has(file.name.slice(file.name.lastIndexOf(".")).toLowerCase())); }

  row(file) {
    const bar = make("progress", { max: 1, value: 0, "aria-label": `Upload of ${isolated(file.name)}` }), entry = { file, bar, stop: null, gone: false };
    entry.element = make("li", { class: "row arriving" }, make("span", { class: "thumb" }), make("div", { class: "what" }, make("p", { class: "name" }, named(file.name)), make("p", { class: "facts" }, words.bytes(file.size)), bar),
      make("div", { class: "acts" }, button("cancel", `Cancel ${isolated(file.name)}`, () => this.cancel(entry))));
    at("arriving").append(entry.element);
    return entry;
  }
  cancel(entry) { entry.gone = true; entry.stop?.(); this.waiting = this.waiting.filter(other => other !== entry); entry.element.remove(); this.draw(); at("choose").focus(); }

  next() {
    while (this.running < AT_ONCE && this.waiting.length) {
      const entry = this.waiting.shift();
      this.running++;
      this.send(entry).catch(error => { if (error.status !== -1) this.refuse(entry.file.name, error.message, error.hint); })
        .finally(() => { this.running--; entry.element.remove(); this.draw(); this.next(); });
    }
  }

  async send(entry) {
    const { file } = entry;
    await this.check(file);
    if (entry.gone) return;
    const hold = this.settings.atOnce ? {} : { hold: "1" };
    const { done, stop } = upload(file, { ...this.settings.query(), name: file.name, ...hold }, share => { entry.bar.value = share; });
    entry.stop = stop;
    this.store.put(await done);
  }

  // Raises Refused for what the server would refuse, before a byte is sent.
  async check(file) {
    const { max_bytes, max_pixels, max_jobs } = this.limits;
    if (file.size === 0) throw new Refused(0, "the file is empty", null);
    if (file.size > max_bytes) throw new Refused(413, `${words.bytes(file.size)} is more than the ${words.bytes(max_bytes)} this server takes`, "use hat upscale in a terminal, which has no such limit");
    const size = await measure(file).catch(() => { throw new Refused(0, "the file cannot be read", "it may be a folder, or have been moved"); });
    if (size && size[0] * size[1] > max_pixels) throw new Refused(413, `${words.size(...size)} is more than the ${words.megapixels(max_pixels)} this server takes`, "make it smaller, or use hat upscale in a terminal");
    if (max_jobs && this.store.held().length + this.store.queue().length >= max_jobs) throw new Refused(429, `the queue is full with ${max_jobs} pictures`, "let some finish, then drop it again");
  }

  refuse(name, message, hint) {
    const row = make("li", {}, make("p", { class: "name" }, named(name)), make("p", { class: "bad" }, message), hint ? make("p", { class: "facts" }, hint) : null);
    at("refused").append(row); say(`${isolated(name)} was not taken: ${message}.`); this.draw();
  }

  draw() {
    const busy = at("arriving").children.length;
    at("arrivingGroup").hidden = !busy; at("arrivingTitle").textContent = `Arriving (${busy})`;
    at("refusedGroup").hidden = !at("refused").children.length;
    set(at("work"), { "aria-busy": busy ? "true" : null });
  }
}

const hasFiles = event => [...(event.dataTransfer?.types || [])].includes("Files");
const local = () => ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);

async function* walk(entry) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) yield await new Promise((resolve, reject) => entry.file(resolve, reject));
  if (!entry.isDirectory) return;
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));  // a hundred at a time
    if (!some.length) return;
    for (const inner of some) yield* walk(inner);
  }
}
