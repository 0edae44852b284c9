/** The detector behind its worker: each call is a promise. */

const STOPPED =
  "The detector has stopped: reload the page, and if that does not help, use a current browser.";

export class RemoteDetector {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.lastId = 0;
    this.isBroken = false;
    this.worker.addEventListener("message", ({ data }) => this.#settle(data));
    this.worker.addEventListener("error", () => this.#failAll());
  }

  /** Loads the models and returns how many threads are used. */
  async load(threads) {
    const { threads: used } = await this.#call({ action: "load", threads });
    return used;
  }

  /**
   * Returns the faces of an image, see detector.js. The image's pixels are moved, not copied.
   *
   * @param {{minConfidence: number, frame: number}} options frame: number of the frame, from 0, if
   *   the image belongs to a video.
   */
  detect(image, options) {
    return this.#call({ action: "detect", image, options }, [image.data.buffer]);
  }

  #call(request, moved = []) {
    if (this.isBroken) {
      return Promise.reject(new Error(STOPPED));
    }
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
    this.isBroken = true;
    for (const { reject } of this.waiting.values()) {
      reject(new Error(STOPPED));
    }
    this.waiting.clear();
  }
}
