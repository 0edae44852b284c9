/** The camera of the device: starts, switches and stops it, and says what is wrong with it. */

import { grabFrame } from "./pictures.js";

const SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };
const FPS_FRAMES = 30; // the frames a second are the mean over this many frames
const PROBLEMS = {
  NotAllowedError: "The camera was refused: allow it in the browser's settings for this page.",
  NotFoundError: "There is no camera: choose a picture instead.",
  NotReadableError: "The camera is used by another program: close that one, then start again.",
};

export class Camera {
  /**
   * @param {HTMLVideoElement} video plays what the camera shows.
   * @param {Function} onLost is called when the camera ends by itself: it was unplugged, or its
   *   permission was taken back. It must call `stop`.
   */
  constructor(video, onLost) {
    this.video = video;
    this.onLost = onLost;
    this.stream = null; // while the camera is on
    this.facing = "environment";
    this.asked = 0; // counts starts and stops, so that a late start is dropped
  }

  get isOn() {
    return this.stream !== null;
  }

  /**
   * Starts the camera.
   *
   * @returns {Promise<boolean>} false if it was stopped or started again meanwhile.
   * @throws {Error} whose message can be shown to the user.
   */
  async start() {
    this.stop();
    if (navigator.mediaDevices === undefined) {
      throw new Error("The camera needs an address with https, or localhost.");
    }
    const mine = this.asked;
    try {
      const video = { ...SIZE, facingMode: this.facing };
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (mine !== this.asked) {
        endStream(stream);
        return false;
      }
      this.stream = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => this.#lose(stream));
      this.video.srcObject = stream;
      await this.video.play();
    } catch (error) {
      if (mine !== this.asked) {
        return false;
      }
      this.stop();
      throw new Error(PROBLEMS[error.name] ?? `The camera cannot be used: ${error.message}`);
    }
    return mine === this.asked;
  }

  stop() {
    this.asked += 1;
    if (this.isOn) {
      endStream(this.stream);
      this.stream = null;
      this.video.srcObject = null;
    }
  }

  /** Chooses the front camera instead of the rear one, or the reverse, for the next start. */
  turn() {
    this.facing = this.facing === "environment" ? "user" : "environment";
  }

  /** Returns whether the device has several cameras. */
  async hasSeveral() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").length > 1;
  }

  /** Returns what the camera shows now, on a canvas. */
  grab() {
    return grabFrame(this.video);
  }

  /**
   * Yields frames until the camera stops. The next frame is searched while one is used.
   *
   * @param {Function} search takes a canvas and the number of the frame, from 0, and returns a promise.
   * @yields {{canvas: HTMLCanvasElement, found: *, fps: number}} found: the outcome of the search.
   */
  async *watch(search) {
    const watched = this.stream;
    const times = []; // seconds, of the last frames
    let next = this.#search(search, 0);
    for (let number = 1; this.stream === watched; number += 1) {
      let frame;
      try {
        [frame] = await Promise.all([next, new Promise(requestAnimationFrame)]);
      } catch (error) {
        if (this.stream === watched) {
          throw error;
        }
      }
      if (this.stream !== watched) {
        return;
      }
      next = this.#search(search, number);
      times.push(performance.now() / 1000);
      if (times.length > FPS_FRAMES) {
        times.shift();
      }
      const fps = times.length > 1 ? (times.length - 1) / (times.at(-1) - times[0]) : 0;
      yield { ...frame, fps };
    }
  }

  async #search(search, number) {
    const canvas = this.grab();
    return { canvas, found: await search(canvas, number) };
  }

  #lose(lost) {
    if (this.stream === lost) {
      this.onLost();
    }
  }
}

function endStream(ended) {
  for (const track of ended.getTracks()) {
    track.stop();
  }
}
