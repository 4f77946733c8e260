"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const stage = at("stage"), W = data.width, H = data.height, GAIN = 8;
const view = { x: 0, y: 0, zoom: 1, split: 0.5, difference: false, cropping: false, crop: null };
const images = data.models.map(model => {
  const image = new Image();
  image.decoding = "async"; image.alt = model.name; image.width = W; image.height = H; image.src = model.source;
  image.draggable = false;
  return image;
});
const choice = { a: 0, b: Math.min(1, images.length - 1) };
let pending = false, compared = "";

function redraw() { if (!pending) { pending = true; requestAnimationFrame(() => { pending = false; draw(); }); } }

function draw() {
  const box = stage.getBoundingClientRect(), cut = Math.round(view.split * box.width);
  const move = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
  for (const image of [images[choice.a], images[choice.b], at("canvas")]) image.style.transform = move;
  at("layerA").style.clipPath = `inset(0 ${box.width - cut}px 0 0)`;
  at("layerB").style.clipPath = choice.a === choice.b ? "" : `inset(0 0 0 ${cut}px)`;
  stage.classList.toggle("pixels", view.zoom * devicePixelRatio >= 1.5);
  at("divider").style.left = cut + "px";
  at("divider").setAttribute("aria-valuenow", Math.round(view.split * 100));
  at("divider").hidden = view.difference || choice.a === choice.b;
  stage.classList.toggle("cropping", view.cropping);
  at("layerD").hidden = !view.difference;
  at("zoom").textContent = (view.difference ? `difference × ${GAIN} · ` : "") + Math.round(view.zoom * devicePixelRatio * 100) + " %";
  at("crop").hidden = !view.crop; at("save").hidden = !view.crop;
  if (view.crop) {
    const c = view.crop, style = at("crop").style;
    style.left = view.x + c.x * view.zoom + "px"; style.top = view.y + c.y * view.zoom + "px";
    style.width = c.w * view.zoom + "px"; style.height = c.h * view.zoom + "px";
  }
}

function numbers(model) {
  if (model.psnr_y === undefined) return "";
  return (model.psnr_y === null ? "identical" : model.psnr_y.toFixed(2) + " dB") + (model.ssim_y === null ? "" : " · SSIM " + model.ssim_y.toFixed(4));
}

function label(id, model) {
  const tag = at(id), small = document.createElement("small");
  small.textContent = numbers(model); tag.textContent = model.name; if (small.textContent) tag.append(small);
}

function choose() {
  at("a").value = choice.a; at("b").value = choice.b;
  at("layerB").replaceChildren(images[choice.b]);
  at("layerA").replaceChildren(...(choice.a === choice.b ? [] : [images[choice.a]]));
  label("tagA", data.models[choice.a]); label("tagB", data.models[choice.b]);
  if (view.difference) subtract();
  redraw();
}

async function subtract() {
  const wanted = choice.a + "," + choice.b;
  if (compared === wanted) return;
  compared = wanted;
  const canvas = at("canvas"); canvas.width = W; canvas.height = H;
  const [first, second] = [images[choice.a], images[choice.b]];
  await Promise.all([first.decode(), second.decode()]);
  const pen = canvas.getContext("2d"), rows = 256;
  const spare = document.createElement("canvas"); spare.width = W; spare.height = rows;
  const reader = spare.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < H; top += rows) {  // in bands, with pauses: large pictures must not freeze the page
    const count = Math.min(rows, H - top);
    const read = image => { reader.clearRect(0, 0, W, rows); reader.drawImage(image, 0, -top, W, H); return reader.getImageData(0, 0, W, count); };
    const one = read(first), two = read(second);
    for (let i = 0; i < one.data.length; i += 4)
      for (let c = i; c < i + 3; c++) one.data[c] = Math.min(255, GAIN * Math.abs(one.data[c] - two.data[c]));
    if (compared !== wanted) return;
    pen.putImageData(one, 0, top);
    await new Promise(done => setTimeout(done));
  }
  canvas.dataset.ready = wanted;
}

function zoomAt(factor, x, y) {
  const zoom = Math.min(64, Math.max(0.02, view.zoom * factor)), ratio = zoom / view.zoom;
  view.x = x - (x - view.x) * ratio; view.y = y - (y - view.y) * ratio; view.zoom = zoom; redraw();
}
function centre() { const box = stage.getBoundingClientRect(); return [box.width / 2, box.height / 2]; }
function fit() {
  const box = stage.getBoundingClientRect();
  view.zoom = Math.min(box.width / W, box.height / H, 8);
  if (view.zoom * devicePixelRatio > 1) view.zoom = Math.floor(view.zoom * devicePixelRatio) / devicePixelRatio;  // pixels of one size
  view.x = (box.width - W * view.zoom) / 2; view.y = (box.height - H * view.zoom) / 2; redraw();
}
function oneToOne() { zoomAt(1 / devicePixelRatio / view.zoom, ...centre()); view.x = Math.round(view.x); view.y = Math.round(view.y); }
function press(id, on) { at(id).setAttribute("aria-pressed", on); }
function toggleDifference() { view.difference = !view.difference; press("difference", view.difference); if (view.difference) subtract(); redraw(); }
function toggleCrop() { view.cropping = !view.cropping; if (!view.cropping) view.crop = null; press("cropping", view.cropping); redraw(); }
function stepCrop([right, down], resize) {
  const step = 8, middle = pixel(centre()), old = view.crop;
  const c = old ? { ...old } : { w: Math.min(64, W), h: Math.min(64, H), x: Math.round(middle[0]) - 32, y: Math.round(middle[1]) - 32 };
  if (old && resize) { c.w += step * right; c.h += step * down; } else if (old) { c.x += step * right; c.y += step * down; }
  c.w = Math.min(W, Math.max(2, c.w)); c.h = Math.min(H, Math.max(2, c.h));
  c.x = Math.min(W - c.w, Math.max(0, c.x)); c.y = Math.min(H - c.h, Math.max(0, c.y));
  view.crop = c;
}
function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
}
function turn(side, by) { choice[side] = (choice[side] + by + images.length) % images.length; choose(); }

async function saveCrop() {
  if (!view.crop) return;
  const c = view.crop, factor = Math.max(1, Math.floor(320 / c.w)), gap = 12, foot = 44;
  const wide = Math.max(c.w * factor, 120), sheet = document.createElement("canvas");
  sheet.width = (wide + gap) * images.length + gap; sheet.height = c.h * factor + foot + gap;
  const pen = sheet.getContext("2d"); pen.fillStyle = "#fff"; pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.imageSmoothingEnabled = false; pen.fillStyle = "#111"; pen.textAlign = "center";
  await Promise.all(images.map(image => image.decode()));
  images.forEach((image, index) => {
    const left = gap + index * (wide + gap), middle = left + wide / 2;
    pen.drawImage(image, c.x, c.y, c.w, c.h, left + (wide - c.w * factor) / 2, gap, c.w * factor, c.h * factor);
    pen.font = "15px sans-serif"; pen.fillText(data.models[index].name, middle, c.h * factor + gap + 18, wide);
    pen.font = "12px sans-serif"; pen.fillText(numbers(data.models[index]), middle, c.h * factor + gap + 35, wide);
  });
  sheet.toBlob(blob => {
    const link = document.createElement("a"); link.href = URL.createObjectURL(blob);
    link.download = `crop_${c.x}_${c.y}_${c.w}x${c.h}.png`; link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

const fingers = new Map();
let sliding = false, corner = null;
const place = event => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
const pixel = ([x, y]) => [Math.min(W, Math.max(0, (x - view.x) / view.zoom)), Math.min(H, Math.max(0, (y - view.y) / view.zoom))];
stage.addEventListener("pointerdown", event => {
  if (event.target.id === "save") return;
  sliding = event.target.id === "divider"; fingers.set(event.pointerId, place(event));
  stage.setPointerCapture(event.pointerId);
  if (view.cropping && fingers.size === 1) { corner = pixel(place(event)); view.crop = null; redraw(); }
});
stage.addEventListener("pointermove", event => {
  const old = fingers.get(event.pointerId); if (!old) return;
  const now = place(event);
  if (sliding && fingers.size === 1) view.split = Math.min(1, Math.max(0, now[0] / stage.clientWidth));
  else if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const span = point => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
    view.x += (now[0] - old[0]) / 2; view.y += (now[1] - old[1]) / 2;  // the middle of the fingers moves too
    zoomAt(span(now) / span(old), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  } else if (corner) {
    const end = pixel(now), x = Math.floor(Math.min(corner[0], end[0])), y = Math.floor(Math.min(corner[1], end[1]));
    const w = Math.ceil(Math.max(corner[0], end[0])) - x, h = Math.ceil(Math.max(corner[1], end[1])) - y;
    view.crop = w > 1 && h > 1 ? { x, y, w, h } : null;
  } else { view.x += now[0] - old[0]; view.y += now[1] - old[1]; }
  fingers.set(event.pointerId, now); redraw();
});
for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, event => { fingers.delete(event.pointerId); sliding = false; corner = null; });
stage.addEventListener("wheel", event => { event.preventDefault(); zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...place(event)); }, { passive: false });
stage.addEventListener("dblclick", event => event.target === stage && zoomAt(2, ...place(event)));

const keys = {
  "+": () => zoomAt(1.25, ...centre()), "=": () => zoomAt(1.25, ...centre()), "-": () => zoomAt(0.8, ...centre()),
  "0": fit, "1": oneToOne, d: toggleDifference, c: toggleCrop, s: saveCrop, t: theme, "[": () => turn("a", 1), "]": () => turn("b", 1),
  x: () => { [choice.a, choice.b] = [choice.b, choice.a]; choose(); }, "?": () => at("keys").showModal(),
};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT" || at("keys").open) return;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrows && view.cropping) stepCrop(arrows, event.shiftKey);
  else if (arrows && (event.shiftKey || arrows[1])) { view.x -= 40 * arrows[0]; view.y -= 40 * arrows[1]; }
  else if (arrows) view.split = Math.min(1, Math.max(0, view.split + 0.02 * arrows[0]));
  else if (keys[event.key.toLowerCase()]) keys[event.key.toLowerCase()]();
  else return;
  event.preventDefault(); redraw();
});
for (const side of ["a", "b"]) {
  data.models.forEach((model, index) => at(side).add(new Option(model.name, index)));
  at(side).addEventListener("change", event => { choice[side] = Number(event.target.value); choose(); });
}
if (data.models.some(model => model.psnr_y !== undefined)) {
  const table = document.createElement("table"), title = document.createElement("h2");
  title.textContent = "Numbers, on luma";
  for (const cells of [["Model", "PSNR dB", "SSIM"], ...data.models.filter(model => model.psnr_y !== undefined).map(model => [model.name, model.psnr_y === null ? "∞" : model.psnr_y.toFixed(2), model.ssim_y === null ? "" : model.ssim_y.toFixed(4)])]) {
    const row = table.insertRow(), kind = table.rows.length === 1 ? "th" : "td";
    cells.forEach((text, index) => { const cell = row.appendChild(document.createElement(kind)); cell.textContent = text; if (index) cell.className = "n"; });
  }
  at("scores").append(title, table);
}
at("difference").onclick = toggleDifference; at("cropping").onclick = toggleCrop; at("save").onclick = saveCrop;
at("fit").onclick = fit; at("one").onclick = oneToOne; at("theme").onclick = theme;
at("help").onclick = () => at("keys").showModal(); at("close").onclick = () => at("keys").close();
at("keys").onclick = event => { if (event.target === at("keys")) at("keys").close(); };  // beside it
addEventListener("resize", redraw);
choose(); fit();
