/** Runs the detector in a worker, so that the page stays responsive. */

import { loadDetector } from "./detector.js";

let detector;

self.addEventListener("message", async ({ data: request }) => {
  try {
    if (request.action === "load") {
      detector = await loadDetector({ base: "./models/", threads: request.threads });
      self.postMessage({ id: request.id, value: { threads: detector.threads } });
    } else {
      const faces = await detector.detect(request.image, request.options);
      self.postMessage({ id: request.id, value: faces });
    }
  } catch (error) {
    self.postMessage({ id: request.id, error: error.message });
  }
});
