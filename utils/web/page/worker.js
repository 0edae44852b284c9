/** Runs the detector in a worker, so that the page stays responsive. */

import { loadDetector } from "./detector.js";
import { KnownFaces } from "./known-faces.js";

let detector;
let known; // the faces of the video
let newest = 0; // the id of the last request

self.addEventListener("message", async ({ data: request }) => {
  newest = request.id;
  try {
    if (request.action === "load") {
      detector = await loadDetector({ base: "./models/", threads: request.threads });
      self.postMessage({ id: request.id, value: { threads: detector.threads } });
    } else {
      const faces = await detect(request);
      self.postMessage({ id: request.id, value: faces });
    }
  } catch (error) {
    self.postMessage({ id: request.id, error: error.message });
  }
});

/** Finds the faces of a picture, or of the next frame of a video. */
function detect({ id, image, options }) {
  const { minConfidence, frame } = options;
  const beforePass = () => giveWay(id);
  if (frame === undefined) {
    return detector.detect(image, { minConfidence, beforePass });
  }
  if (frame === 0) {
    known = new KnownFaces();
  }
  return detector.detect(image, { minConfidence, beforePass, fast: true, known });
}

/** Lets newer requests in, and ends this one if there is any: its answer would not be shown. */
async function giveWay(id) {
  await new Promise((resolve) => setTimeout(resolve));
  if (id !== newest) {
    throw new Error("A newer picture was chosen.");
  }
}
