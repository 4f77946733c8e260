// A worker that enlarges a picture bicubically (Keys, a = -0.5), so that "before" is what a good program without a network gives.
onmessage = async ({ data: { url, width, height } }) => {
  try {
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`the picture did not come: ${answer.status}`);
    const bitmap = await createImageBitmap(await answer.blob());
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), pen = canvas.getContext("2d");
    pen.drawImage(bitmap, 0, 0);
    const large = new OffscreenCanvas(width, height);
    large.getContext("2d").putImageData(enlarge(pen.getImageData(0, 0, bitmap.width, bitmap.height), width, height), 0, 0);
    postMessage({ blob: await large.convertToBlob({ type: "image/png" }) });
  } catch (error) {
    postMessage({ error: String(error.message || error) });
  }
};

// For each of `to` places the four samples it is made of, with their weights; at the edges the last sample is repeated.
function taps(from, to) {
  const index = new Int32Array(4 * to), weight = new Float32Array(4 * to), a = -0.5;
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * from / to - 0.5, first = Math.floor(centre) - 1;
    for (let tap = 0; tap < 4; tap++) {
      const x = Math.abs(centre - first - tap);
      index[4 * place + tap] = Math.min(from - 1, Math.max(0, first + tap));
      weight[4 * place + tap] = x < 1 ? (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1 : x < 2 ? a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a : 0;
    }
  }
  return { index, weight };
}

function enlarge(source, width, height) {
  const across = taps(source.width, width), down = taps(source.height, height), result = new ImageData(width, height);
  const wide = new Map();  // the few source rows in use, already as wide as the result
  const row = y => {
    let values = wide.get(y);
    if (values) return values;
    values = new Float32Array(4 * width);
    const start = 4 * y * source.width, { index, weight } = across;
    for (let x = 0; x < width; x++)
      for (let tap = 4 * x; tap < 4 * x + 4; tap++) {
        const from = start + 4 * index[tap], share = weight[tap];
        for (let c = 0; c < 4; c++) values[4 * x + c] += share * source.data[from + c];
      }
    wide.set(y, values);
    for (const old of wide.keys()) if (old < y - 4) wide.delete(old);
    return values;
  };
  for (let y = 0; y < height; y++) {
    const rows = [0, 1, 2, 3].map(tap => row(down.index[4 * y + tap])), shares = [0, 1, 2, 3].map(tap => down.weight[4 * y + tap]);
    const at = 4 * y * width;
    for (let i = 0; i < 4 * width; i++) result.data[at + i] = shares[0] * rows[0][i] + shares[1] * rows[1][i] + shares[2] * rows[2][i] + shares[3] * rows[3][i];
  }
  return result;
}
