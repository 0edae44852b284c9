/** Runs the detector in a worker, so that the page stays responsive. */

import { loadDetector } from "./detector.js";

let detector;
let newest = 0; // the id of the last request

self.addEventListener("message", async ({ data: request }) => {
  newest = request.id;
  try {
    if (request.action === "load") {
      detector = await loadDetector({ base: "./models/", threads: request.threads });
      self.postMessage({ id: request.id, value: { threads: detector.threads } });
    } else {
      const beforePass = () => giveWay(request.id);
      const faces = await detector.detect(request.image, { ...request.options, beforePass });
      self.postMessage({ id: request.id, value: faces });
    }
  } catch (error) {
    self.postMessage({ id: request.id, error: error.message });
  }
});

/** Lets newer requests in, and ends this one if there is any: its answer would not be shown. */
async function giveWay(id) {
  await new Promise((resolve) => setTimeout(resolve));
  if (id !== newest) {
    throw new Error("A newer picture was chosen.");
  }
}
