/** The detector behind its worker: each call is a promise. */

export class RemoteDetector {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.lastId = 0;
    this.worker.addEventListener("message", ({ data }) => this.#settle(data));
    this.worker.addEventListener("error", () => this.#failAll());
  }

  /** Loads the models and returns how many threads are used. */
  async load(threads) {
    const { threads: used } = await this.#call({ action: "load", threads });
    return used;
  }

  /** Returns the faces of an image, see detector.js. The image's pixels are moved, not copied. */
  detect(image, options) {
    return this.#call({ action: "detect", image, options }, [image.data.buffer]);
  }

  #call(request, moved = []) {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...request }, moved);
    });
  }

  #settle({ id, value, error }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) {
      resolve(value);
    } else {
      reject(new Error(error));
    }
  }

  #failAll() {
    for (const { reject } of this.waiting.values()) {
      reject(new Error("The detector stopped: reload the page."));
    }
    this.waiting.clear();
  }
}
