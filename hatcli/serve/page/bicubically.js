// "Before", as large as "after": an address of the source enlarged bicubically by a worker.
export function bicubically(url, width, height, signal) {
  const worker = new Worker("/assets/bicubic.js", { type: "module" });
  return new Promise((resolve, reject) => {
    const end = () => worker.terminate();
    signal?.addEventListener("abort", () => { end(); reject(new DOMException("closed", "AbortError")); });
    worker.onmessage = ({ data }) => { end(); if (data.blob) resolve(URL.createObjectURL(data.blob)); else reject(new Error(data.error)); };
    worker.onerror = event => { end(); reject(new Error(event.message || "the worker did not start")); };
    worker.postMessage({ url: new URL(url, location).href, width, height });
  });
}

export function loaded(url) {  // the picture, decoded
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image);
}
