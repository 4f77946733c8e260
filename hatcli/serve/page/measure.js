// How large a picture is, from its first bytes, so that what is too large is not sent at all; null where only the server can tell.
const HEAD = 256 * 1024;  // bytes; a JPEG's size stands behind its metadata

export async function measure(file) {
  const bytes = new DataView(await file.slice(0, HEAD).arrayBuffer());
  try {
    return png(bytes) || gif(bytes) || jpeg(bytes) || webp(bytes) || bmp(bytes);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const word = (bytes, start, length) => String.fromCharCode(...Array.from({ length }, (_, i) => bytes.getUint8(start + i)));

function png(b) { return b.getUint32(0) === 0x89504e47 && word(b, 12, 4) === "IHDR" ? [b.getUint32(16), b.getUint32(20)] : null; }
function gif(b) { return word(b, 0, 4) === "GIF8" ? [b.getUint16(6, true), b.getUint16(8, true)] : null; }
function bmp(b) { return word(b, 0, 2) === "BM" ? [Math.abs(b.getInt32(18, true)), Math.abs(b.getInt32(22, true))] : null; }
function jpeg(b) {
  if (b.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; ; at += 2 + b.getUint16(at + 2)) {
    const marker = b.getUint16(at);
    if (marker < 0xff01) return null;
    if (marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)) return [b.getUint16(at + 7), b.getUint16(at + 5)];
  }
}
function webp(b) {
  if (word(b, 0, 4) !== "RIFF" || word(b, 8, 4) !== "WEBP") return null;
  const kind = word(b, 12, 4), three = at => b.getUint16(at, true) + (b.getUint8(at + 2) << 16);
  if (kind === "VP8X") return [1 + three(24), 1 + three(27)];
  if (kind === "VP8 ") return [b.getUint16(26, true) & 0x3fff, b.getUint16(28, true) & 0x3fff];
  if (kind !== "VP8L") return null;
  const bits = b.getUint32(21, true);
  return [1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff)];
}
