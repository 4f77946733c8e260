// Numbers as people say them.
export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

export function bytes(number) {
  if (number < 1000) return `${number} bytes`;
  for (const [unit, size] of [["kB", 1e3], ["MB", 1e6], ["GB", 1e9]])
    if (number < size * 999.5 || unit === "GB") return `${Number((number / size).toFixed(number < 9.95 * size ? 1 : 0))} ${unit}`;
}

export const size = (width, height) => `${width} × ${height}`;
export const megapixels = number => `${number >= 1e8 ? Math.round(number / 1e6) : Number((number / 1e6).toPrecision(2))} megapixels`;

// Time that is still ahead: never more exact than it can be known.
export function about(seconds) {
  if (seconds < 3) return "a moment";
  if (seconds < 20) return `about ${Math.ceil(seconds)} s`;
  if (seconds < 90) return `about ${Math.ceil(seconds / 5) * 5} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} hours`;
}

export function took(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} hours`;
}

export function model(name) {
  return { auto: "Automatic", "hat-t": "HAT-T", "hat-t-photo": "HAT-T photo", hat: "HAT", "hat-s": "HAT-S", "hat-l": "HAT-L" }[name] || name;
}

export function wanted(parameters) {  // what was asked for, short
  const p = parameters || {};
  if (p.scale) return `${Number(p.scale)}×`;
  for (const [key, text] of [["width", "px wide"], ["height", "px high"], ["long_edge", "px long edge"], ["short_edge", "px short edge"], ["megapixels", "megapixels"]])
    if (p[key]) return `${p[key]} ${text}`;
  return "";
}
