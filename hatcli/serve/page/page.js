// The page of hat serve: puts its parts together. Everything it shows comes from the server that sent it.
import { call } from "./api.js";
import { Compare } from "./compare.js";
import { ask, at } from "./dom.js";
import { Intake } from "./intake.js";
import { Models } from "./models.js";
import { Preview } from "./preview.js";
import { Queue } from "./queue.js";
import { Rooted } from "./rooted.js";
import { Settings } from "./settings.js";
import { Store } from "./store.js";

const store = new Store(), settings = new Settings(at("form")), models = new Models(settings), compare = new Compare(store);
const preview = new Preview(store, settings, models, compare), intake = new Intake(store, settings), rooted = new Rooted(store, settings);
const queue = new Queue(store, settings, job => compare.open(job));

function offline(error) {
  at("offline").hidden = error === null;
  if (error === null) return;
  at("offline").textContent = error.status === 401 ? `${error.message}: ${error.hint}.` : "The server does not answer. Nothing is lost: this page goes on by itself when it is back.";
}
function trouble(error) {
  if (error.status === 0 || error.status === 401) offline(error); else intake.refuse("hat", error.message, error.hint);
}
store.onModel = event => models.show(event); store.onOffline = offline;
queue.onTrouble = rooted.onTrouble = trouble; rooted.onRefused = (...said) => intake.refuse(...said);
settings.onChange = () => { queue.resized(); models.drawOthers(); };

function theme() {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("hat.theme", root.dataset.theme); } catch { /* a browser that keeps nothing */ }
}
try { const kept = localStorage.getItem("hat.theme"); if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept; } catch { /* the same */ }
at("theme").onclick = theme;
at("help").onclick = () => at("keys").showModal(); at("closeKeys").onclick = () => at("keys").close();
at("power").onclick = async () => {
  if (!(await ask("Stop the server? What waits goes on when hat serve is started again.", "Stop it"))) return;
  try { await call("POST", "/stop"); } catch (error) { trouble(error); }
};
for (const box of document.querySelectorAll("dialog")) box.addEventListener("click", event => { if (event.target === box && !box.classList.contains("whole")) box.close(); });

const keys = { o: () => at("choose").click(), t: theme, "?": () => at("help").click() };
addEventListener("keydown", event => {
  const typing = event.target.matches?.("input:not([type=checkbox]):not([type=radio]):not([type=range]), select"), open = document.querySelector("dialog[open]");
  if (open && event.key.toLowerCase() !== "t") return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("start").click();
  else if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key.toLowerCase()]) return;
  else keys[event.key.toLowerCase()]();
  event.preventDefault();
});

try {
  const limits = await call("GET", "/limits");
  intake.know(limits); settings.offer(limits.formats_out);
  store.connect();
  await models.load();
} catch (error) { trouble(error); if (error.status === 0) setTimeout(() => location.reload(), 5000); }
document.body.dataset.ready = "true";
