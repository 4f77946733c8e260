const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const stage = at("stage"), viewer = new Viewer(stage), { view } = viewer, W = data.width, H = data.height;
const crops = { on: false, box: null, corner: null };

viewer.onDraw = () => {
  press("difference", view.difference); stage.classList.toggle("cropping", crops.on);
  at("crop").hidden = at("save").hidden = !crops.box;
  if (!crops.box) return;
  const c = crops.box, style = at("crop").style;
  style.left = view.x + c.x * view.zoom + "px"; style.top = view.y + c.y * view.zoom + "px";
  style.width = c.w * view.zoom + "px"; style.height = c.h * view.zoom + "px";
};
viewer.onChoose = () => { at("a").value = viewer.choice.a; at("b").value = viewer.choice.b; };

const cropping = {
  down(pixel) { crops.corner = pixel; crops.box = null; viewer.redraw(); },
  move(end) {
    if (!crops.corner) return;
    const x = Math.floor(Math.min(crops.corner[0], end[0])), y = Math.floor(Math.min(crops.corner[1], end[1]));
    const w = Math.ceil(Math.max(crops.corner[0], end[0])) - x, h = Math.ceil(Math.max(crops.corner[1], end[1])) - y;
    crops.box = w > 1 && h > 1 ? { x, y, w, h } : null;
  },
  up() { crops.corner = null; },
};
function toggleCrop() {
  crops.on = !crops.on; if (!crops.on) crops.box = null;
  viewer.tool = crops.on ? cropping : null; press("cropping", crops.on); viewer.redraw();
}
function stepCrop([right, down], resize) {
  const step = 8, middle = viewer.pixel(viewer.centre()), old = crops.box;
  const c = old ? { ...old } : { w: Math.min(64, W), h: Math.min(64, H), x: Math.round(middle[0]) - 32, y: Math.round(middle[1]) - 32 };
  if (old && resize) { c.w += step * right; c.h += step * down; } else if (old) { c.x += step * right; c.y += step * down; }
  c.w = Math.min(W, Math.max(2, c.w)); c.h = Math.min(H, Math.max(2, c.h));
  c.x = Math.min(W - c.w, Math.max(0, c.x)); c.y = Math.min(H - c.h, Math.max(0, c.y));
  crops.box = c;
}
async function saveCrop() {
  if (!crops.box) return;
  const c = crops.box, { images } = viewer, factor = Math.max(1, Math.floor(320 / c.w)), gap = 12, foot = 44;
  const wide = Math.max(c.w * factor, 120), sheet = document.createElement("canvas");
  sheet.width = (wide + gap) * images.length + gap; sheet.height = c.h * factor + foot + gap;
  const pen = sheet.getContext("2d"); pen.fillStyle = "#fff"; pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.imageSmoothingEnabled = false; pen.fillStyle = "#111"; pen.textAlign = "center";
  await Promise.all(images.map(image => image.decode()));
  images.forEach((image, index) => {
    const left = gap + index * (wide + gap), middle = left + wide / 2;
    pen.drawImage(image, c.x, c.y, c.w, c.h, left + (wide - c.w * factor) / 2, gap, c.w * factor, c.h * factor);
    pen.font = "15px sans-serif"; pen.fillText(data.models[index].name, middle, c.h * factor + gap + 18, wide);
    pen.font = "12px sans-serif"; pen.fillText(Viewer.numbers(data.models[index]), middle, c.h * factor + gap + 35, wide);
  });
  sheet.toBlob(blob => {
    const link = document.createElement("a"); link.href = URL.createObjectURL(blob);
    link.download = `crop_${c.x}_${c.y}_${c.w}x${c.h}.png`; link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

function press(id, on) { at(id).setAttribute("aria-pressed", on); }
function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
}
function table() {
  const columns = [
    ["PSNR dB", model => model.psnr_y === null ? "∞" : model.psnr_y.toFixed(2), "psnr_y"],
    ["SSIM", model => model.ssim_y === null ? "" : model.ssim_y.toFixed(4), "ssim_y"],
    ["Time", model => Viewer.seconds(model.seconds), "seconds"],
  ].filter(([, , key]) => data.models.some(model => model[key] !== undefined));
  if (!columns.length) return;
  const table = document.createElement("table"), title = document.createElement("h2");
  title.textContent = columns[0][2] === "psnr_y" ? "Numbers, on luma" : "Numbers";
  const lines = data.models.map(model => [model.name, ...columns.map(([, text, key]) => model[key] === undefined ? "" : text(model))]);
  for (const cells of [["Model", ...columns.map(([name]) => name)], ...lines]) {
    const row = table.insertRow(), kind = table.rows.length === 1 ? "th" : "td";
    cells.forEach((text, index) => { const cell = row.appendChild(document.createElement(kind)); cell.textContent = text; if (index) cell.className = "n"; });
  }
  at("scores").append(title, table);
}

const keys = { c: toggleCrop, s: saveCrop, t: theme, "?": () => at("keys").showModal() };
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT" || at("keys").open) return;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrows && crops.on) stepCrop(arrows, event.shiftKey);
  else if (keys[event.key.toLowerCase()]) keys[event.key.toLowerCase()]();
  else if (!viewer.key(event)) return;
  event.preventDefault(); viewer.redraw();
});
for (const side of ["a", "b"]) {
  data.models.forEach((model, index) => at(side).add(new Option(model.name, index)));
  at(side).addEventListener("change", event => { viewer.choice[side] = Number(event.target.value); viewer.choose(); });
}
at("difference").onclick = () => viewer.toggleDifference(); at("cropping").onclick = toggleCrop; at("save").onclick = saveCrop;
at("fit").onclick = () => viewer.fit(); at("one").onclick = () => viewer.oneToOne(); at("theme").onclick = theme;
at("help").onclick = () => at("keys").showModal(); at("close").onclick = () => at("keys").close();
at("keys").onclick = event => { if (event.target === at("keys")) at("keys").close(); };  // beside it
table();
for (const note of data.notes) {
  for (const [where, kind] of [["notes", "span"], ["scores", "p"]]) at(where).appendChild(document.createElement(kind)).textContent = note;
}
viewer.show(data.models, W, H);
