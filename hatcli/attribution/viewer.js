// Two pictures of one size on one stage: slider, zoom, moving, difference. The page around it brings its own controls
// and hears of changes by `onDraw` and `onChoose`; a `tool` of its own may take the pointer.
export class Viewer {
  constructor(stage, { gain = 8 } = {}) {
    this.stage = stage; this.gain = gain; stage.viewer = this;
    this.parts = Viewer.build(stage);
    this.view = { x: 0, y: 0, zoom: 1, split: 0.5, difference: false, fitted: true };
    this.choice = { a: 0, b: 0 };
    this.models = []; this.images = []; this.width = this.height = 1; this.density = 1;
    this.onDraw = this.onChoose = () => {};
    this.tool = null;  // { down(pixel), move(pixel), up() } in place of moving the pictures
    this.pending = false; this.compared = ""; this.fingers = new Map(); this.sliding = false;
    this.listen();
  }

  static build(stage) {
    const make = (kind, id, within) => { const element = document.createElement(kind); if (id) element.id = id; if (within) within.append(element); return element; };
    const b = make("div", "layerB"), a = make("div", "layerA"), d = make("div", "layerD"), canvas = make("canvas", "canvas", d);
    for (const layer of [a, b, d]) layer.className = "layer";
    const tagA = make("div", "tagA"), tagB = make("div", "tagB"), zoom = make("div", "zoom"), divider = make("button", "divider");
    tagA.className = tagB.className = "tag"; d.hidden = true; divider.type = "button";
    const said = { role: "slider", "aria-label": "Divide between left and right", "aria-orientation": "horizontal", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 50 };
    for (const [name, value] of Object.entries(said)) divider.setAttribute(name, value);
    canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", "Difference of left and right"); zoom.setAttribute("aria-live", "polite");
    stage.prepend(b, a, d, tagA, tagB, zoom, divider);
    return { a, b, d, canvas, divider, tagA, tagB, zoom };
  }

  // models: [{ name, source, psnr_y?, ssim_y?, seconds?, facts? }], each `width` x `height` pixels; `density`: how many
  // pixels of the file one shown pixel stands for, along a side, where a reduced view is shown.
  show(models, width, height, density = 1) {
    this.models = models; this.width = width; this.height = height; this.density = density; this.compared = "";
    this.images = models.map(model => {
      const image = new Image();
      image.decoding = "async"; image.alt = model.name; image.width = width; image.height = height; image.src = model.source;
      image.draggable = false;
      return image;
    });
    this.choice = { a: 0, b: Math.min(1, models.length - 1) };
    this.choose(); this.fit();
  }

  redraw() { if (!this.pending) { this.pending = true; requestAnimationFrame(() => { this.pending = false; this.draw(); }); } }

  draw() {
    const { view, parts, stage, choice, images } = this, box = stage.getBoundingClientRect(), cut = Math.round(view.split * box.width);
    const move = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`, dots = view.zoom * devicePixelRatio;
    for (const image of [images[choice.a], images[choice.b], parts.canvas]) image.style.transform = move;
    parts.a.style.clipPath = `inset(0 ${box.width - cut}px 0 0)`;
    parts.b.style.clipPath = choice.a === choice.b ? "" : `inset(0 0 0 ${cut}px)`;
    stage.classList.toggle("pixels", dots >= 3 || (dots > 1 && Number.isInteger(dots)));  // between them, pixels would differ in size
    parts.divider.style.left = cut + "px";
    parts.divider.setAttribute("aria-valuenow", Math.round(view.split * 100));
    parts.divider.hidden = view.difference || choice.a === choice.b;
    parts.d.hidden = !view.difference;
    parts.zoom.textContent = (view.difference ? `difference × ${this.gain} · ` : "") + Math.round(dots / this.density * 100) + " %";
    this.onDraw();
  }

  static numbers(model) {
    const said = [];
    if (model.psnr_y !== undefined) said.push(model.psnr_y === null ? "identical" : model.psnr_y.toFixed(2) + " dB");
    if (model.ssim_y !== undefined && model.ssim_y !== null) said.push("SSIM " + model.ssim_y.toFixed(4));
    if (model.seconds !== undefined) said.push(Viewer.seconds(model.seconds));
    if (model.facts) said.push(model.facts);
    return said.join(" · ");
  }
  static seconds(value) { return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) + " s"; }

  label(tag, model) {
    const small = document.createElement("small");
    const name = document.createElement("bdi");
    small.textContent = Viewer.numbers(model); name.textContent = model.name; tag.replaceChildren(name); if (small.textContent) tag.append(small);
  }

  choose() {
    const { parts, choice, images, models } = this;
    parts.b.replaceChildren(images[choice.b]);
    parts.a.replaceChildren(...(choice.a === choice.b ? [] : [images[choice.a]]));
    this.label(parts.tagA, models[choice.a]); this.label(parts.tagB, models[choice.b]);
    if (this.view.difference) this.subtract();
    this.onChoose(); this.redraw();
  }
  turn(side, by) { this.choice[side] = (this.choice[side] + by + this.images.length) % this.images.length; this.choose(); }
  exchange() { [this.choice.a, this.choice.b] = [this.choice.b, this.choice.a]; this.choose(); }

  async subtract() {
    const { choice, images, gain, width, height } = this, { canvas } = this.parts, wanted = choice.a + "," + choice.b;
    if (this.compared === wanted) return;
    this.compared = wanted; canvas.width = width; canvas.height = height;
    const [first, second] = [images[choice.a], images[choice.b]];
    await Promise.all([first.decode(), second.decode()]);
    const pen = canvas.getContext("2d"), rows = 256;
    const spare = document.createElement("canvas"); spare.width = width; spare.height = rows;
    const reader = spare.getContext("2d", { willReadFrequently: true });
    for (let top = 0; top < height; top += rows) {  // in bands, with pauses: large pictures must not freeze the page
      const count = Math.min(rows, height - top);
      const read = image => { reader.clearRect(0, 0, width, rows); reader.drawImage(image, 0, -top, width, height); return reader.getImageData(0, 0, width, count); };
      const one = read(first), two = read(second);
      for (let i = 0; i < one.data.length; i += 4)
        for (let c = i; c < i + 3; c++) one.data[c] = Math.min(255, gain * Math.abs(one.data[c] - two.data[c]));
      if (this.compared !== wanted) return;
      pen.putImageData(one, 0, top);
      await new Promise(done => setTimeout(done));
    }
    canvas.dataset.ready = wanted;
  }
  toggleDifference() { this.view.difference = !this.view.difference; if (this.view.difference) this.subtract(); this.redraw(); }

  zoomAt(factor, x, y) {
    const { view } = this, zoom = Math.min(64, Math.max(0.02, view.zoom * factor)), ratio = zoom / view.zoom;
    view.x = x - (x - view.x) * ratio; view.y = y - (y - view.y) * ratio; view.zoom = zoom; view.fitted = false; this.redraw();
  }
  zoomBy(factor) { this.zoomAt(factor, ...this.centre()); }
  moveBy(right, down) { this.view.x += right; this.view.y += down; this.view.fitted = false; this.redraw(); }
  slideBy(share) { this.view.split = Math.min(1, Math.max(0, this.view.split + share)); this.redraw(); }
  fit() {  // two edges of the picture touch the window's
    const { view, width, height } = this, box = this.stage.getBoundingClientRect();
    view.zoom = Math.min(box.width / width, box.height / height, 64);
    view.x = (box.width - width * view.zoom) / 2; view.y = (box.height - height * view.zoom) / 2; view.fitted = true; this.redraw();
  }
  oneToOne() { this.zoomBy(this.density / devicePixelRatio / this.view.zoom); this.view.x = Math.round(this.view.x); this.view.y = Math.round(this.view.y); }

  // Whether the key meant something here.
  key({ key, shiftKey }) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const meant = {
      "+": () => this.zoomBy(1.25), "=": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8), "0": () => this.fit(), "1": () => this.oneToOne(),
      d: () => this.toggleDifference(), x: () => this.exchange(), "[": () => this.turn("a", 1), "]": () => this.turn("b", 1),
    }[key.toLowerCase()];
    if (arrow && (shiftKey || arrow[1])) this.moveBy(-40 * arrow[0], -40 * arrow[1]);
    else if (arrow) this.slideBy(0.02 * arrow[0]);
    else if (meant) meant();
    return Boolean(arrow || meant);
  }

  centre() { const box = this.stage.getBoundingClientRect(); return [box.width / 2, box.height / 2]; }
  spot(event) { const box = this.stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }
  pixel([x, y]) {
    const { view } = this, inside = (value, side) => Math.min(side, Math.max(0, value));
    return [inside((x - view.x) / view.zoom, this.width), inside((y - view.y) / view.zoom, this.height)];
  }

  listen() {
    const { stage, view, fingers } = this;
    stage.addEventListener("pointerdown", event => {
      if (event.target.closest("[data-own]")) return;  // a control the page laid on the stage
      this.sliding = event.target === this.parts.divider; fingers.set(event.pointerId, this.spot(event));
      stage.setPointerCapture(event.pointerId);
      if (this.tool && fingers.size === 1) this.tool.down(this.pixel(this.spot(event)));
    });
    stage.addEventListener("pointermove", event => {
      const old = fingers.get(event.pointerId); if (!old) return;
      const now = this.spot(event);
      if (this.sliding && fingers.size === 1) view.split = Math.min(1, Math.max(0, now[0] / stage.clientWidth));
      else if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const span = point => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
        view.x += (now[0] - old[0]) / 2; view.y += (now[1] - old[1]) / 2;  // the middle of the fingers moves too
        this.zoomAt(span(now) / span(old), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else if (this.tool) this.tool.move(this.pixel(now));
      else this.moveBy(now[0] - old[0], now[1] - old[1]);
      fingers.set(event.pointerId, now); this.redraw();
    });
    for (const kind of ["pointerup", "pointercancel"])
      stage.addEventListener(kind, event => { fingers.delete(event.pointerId); this.sliding = false; if (this.tool) this.tool.up(); });
    stage.addEventListener("wheel", event => { event.preventDefault(); this.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...this.spot(event)); }, { passive: false });
    stage.addEventListener("dblclick", event => { if (event.target === stage) this.zoomAt(2, ...this.spot(event)); });
    new ResizeObserver(() => {  // the bar above may take another line without the window's changing
      if (this.models.length && stage.clientWidth) view.fitted ? this.fit() : this.redraw();
    }).observe(stage);
  }
}
