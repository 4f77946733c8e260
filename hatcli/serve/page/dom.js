// Elements, and what is told to people. Text from outside only ever becomes text, never markup.
export const at = id => document.getElementById(id);

// An element: attributes, listeners as `onclick: f`, and children, which are elements or text.
export function make(kind, attributes = {}, ...children) {
  const element = document.createElement(kind);
  set(element, attributes);
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === null || value === false || value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

// A name that may run from right to left, without turning what stands beside it.
export const named = text => make("bdi", {}, text);
export const isolated = text => "\u2068" + text + "\u2069";  // the same inside a label, where no element can stand

const PATHS = {
  look: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z M12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z",
  take: "M12 4v11m-4.5-4 4.5 4.5 4.5-4.5M5 20h14",
  cancel: "m6.5 6.5 11 11m0-11-11 11",
  remove: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  picture: "M4 5h16v14H4Zm0 11 5-5 4 4 3-3 4 4M9 9h.01",
  go: "M8 5.5v13l10.5-6.5Z",
};
export function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawing.setAttribute("viewBox", "0 0 24 24"); drawing.setAttribute("aria-hidden", "true"); path.setAttribute("d", PATHS[name]); drawing.append(path);
  return drawing;
}

export function button(name, label, onclick, { wide = false, cls = "" } = {}) {
  return make("button", { type: "button", class: `${wide ? "" : "icon"} ${cls}`.trim(), title: label, "aria-label": label, onclick }, icon(name));
}

// A sentence for those who cannot see; each is said once, one after the other.
const waiting = [];
let speaking = 0;
export function say(text) {
  waiting.push(text);
  if (!speaking) speaking = setInterval(() => { if (waiting.length) at("said").textContent = waiting.splice(0, 3).join(" "); else { clearInterval(speaking); speaking = 0; } }, 400);
}

export function ask(question, yes) {
  const box = at("ask");
  at("askText").textContent = question; at("askYes").textContent = yes; box.returnValue = "";
  return new Promise(answer => {
    at("askYes").onclick = () => box.close("yes"); at("askNo").onclick = () => box.close("");
    box.onclose = () => answer(box.returnValue === "yes");
    box.showModal(); at("askNo").focus();
  });
}
