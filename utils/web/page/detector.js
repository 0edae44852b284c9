/**
 * Finds faces and how each wears a mask: utils.detect, on ONNX Runtime in the browser.
 *
 * The numbers are computed by three ONNX graphs, which utils/web/graphs.py makes. This module resizes
 * images and chooses passes, as FCOS.__call__ in utils/detect/face_detector.py does; the names of
 * constants are the same there. It uses no document, so that it can run in a worker.
 */

import * as ort from "./runtime/ort.wasm.min.mjs";
import { KnownFaces } from "./known-faces.js";
import { copyRgb, cropImage, resizeImage, roundHalfEven } from "./pixels.js";

const BATCH_SIZE = 32; // faces in one run of the classifier, to bound its memory
const GRAPHS = ["detect", "merge", "classify"];
// As in utils/detect/onnx_session.py: sums in floats stay in floats.
const SESSION_OPTIONS = {
  executionProviders: ["wasm"],
  extra: { session: { disable_quant_qdq: "1" } },
};

/**
 * Loads the models.
 *
 * @param {{base: string, threads: number}} options base: address of the folder of the models; threads:
 *   more than one needs a page that is cross-origin isolated.
 * @returns {Promise<MaskDetector>}
 * @throws {Error} whose message can be shown to the user.
 */
export async function loadDetector({ base, threads = 1 }) {
  if (typeof WebAssembly !== "object") {
    throw new Error("This browser has no WebAssembly, or it is switched off: use a current browser.");
  }
  const folder = new URL(base, import.meta.url);
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
  ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
  ort.env.logLevel = "error";
  const sessions = {};
  let settings;
  try {
    settings = await (await fetchFile(new URL("settings.json", folder))).json();
    for (const name of GRAPHS) {
      const file = await fetchFile(new URL(`${name}.onnx`, folder));
      const bytes = new Uint8Array(await file.arrayBuffer());
      sessions[name] = await ort.InferenceSession.create(bytes, SESSION_OPTIONS);
    }
  } catch (error) {
    throw new Error(`The models cannot be loaded (${error.message}): reload the page.`);
  }
  return new MaskDetector(sessions, settings, ort.env.wasm.numThreads);
}

async function fetchFile(address) {
  const response = await fetch(address);
  if (!response.ok) {
    throw new Error(`${address.pathname}: HTTP ${response.status}`);
  }
  return response;
}

/** The detector and the classifier with their settings. */
class MaskDetector {
  constructor(sessions, settings, threads) {
    this.sessions = sessions;
    this.settings = settings;
    this.threads = threads;
  }

  /**
   * Finds the faces of an image.
   *
   * @param {ImageData} image upright, in its full size.
   * @param {{minConfidence: number, fast: boolean, known: KnownFaces, beforePass: Function}} options
   *   minConfidence: least confidence of a face; fast: leave out tiles and crowds, for live video;
   *   known: the faces of the video so far, of which some keep their answers; beforePass: is awaited
   *   before the whole image and before each tile, and ends the search by an error.
   * @returns {Promise<object[]>} for each face, the most confident first: box (left, top, right,
   *   bottom in pixels), confidence, probabilities by class name, className, probability, unsure.
   */
  async detect(image, options = {}) {
    const { minConfidence = 0.5, fast = false, beforePass = doNothing } = options;
    const { known = new KnownFaces() } = options;
    await beforePass();
    const passes = await this.#search(image, minConfidence, fast, beforePass);
    const found = passes.filter((pass) => pass.count > 0);
    const merged = found.length > 0 ? await this.#merge(found, passes[0].count) : [];
    const boxes = merged.map((face) => face.box);
    const opinions = merged.map((face) => this.#nameClass(face.opinion));
    const answers = await known.update(boxes, opinions, (due) => {
      return this.#classify(image, due.map((position) => merged[position]));
    });
    const faces = merged.map(({ box, confidence }, index) => {
      return answers[index] && { box, confidence, ...answers[index] };
    });
    return faces.filter((face) => face !== null);
  }

  /** Returns the name of the most probable class. */
  #nameClass(probabilities) {
    return this.settings.class_names[probabilities.indexOf(Math.max(...probabilities))];
  }

  /** Returns the boxes of each pass; those of the coarse pass come first. */
  async #search(image, minConfidence, fast, beforePass) {
    const { side, MAX_ENLARGEMENT, HINT, TILED_BELOW, CROWD, CROWD_ENLARGEMENT } = this.settings;
    const longerSide = Math.max(image.width, image.height);
    const scale = Math.min(side / longerSide, MAX_ENLARGEMENT);
    const all = [0, 0, image.width, image.height];
    const options = { scale, voteConfidence: minConfidence };
    const least = Math.min(HINT, minConfidence);
    const hinted = await this.#run(image, all, { ...options, minConfidence: least });
    const whole = select(hinted, (box, confidence) => confidence >= minConfidence);
    const passes = [await this.#searchLarge(image, scale, hinted, minConfidence), whole];
    if (fast) {
      return passes;
    }
    if (scale < TILED_BELOW) {
      passes.push(...(await this.#searchTiles(image, scale, minConfidence, beforePass)));
    } else if (this.#countTiny(whole, scale) >= CROWD) {
      const enlarged = CROWD_ENLARGEMENT * scale;
      passes.push(await this.#searchTile(image, all, enlarged, scale, minConfidence));
    }
    return passes;
  }

  /** Coarse pass: finds a face that fills the image. */
  async #searchLarge(image, scale, hinted, minConfidence) {
    const { FACE_CONFIDENCE, SMALL, COARSE_SCALE, LARGE } = this.settings;
    const longerSide = Math.max(image.width, image.height);
    const sure = select(hinted, (box, confidence) => confidence >= FACE_CONFIDENCE);
    const long = select(hinted, (box) => longSide(box) >= SMALL * longerSide);
    if (sure.count > 1 && long.count === 0) {
      return select(hinted, () => false);
    }
    const all = [0, 0, image.width, image.height];
    const coarse = scale * COARSE_SCALE;
    const options = { scale: coarse, minConfidence, voteConfidence: minConfidence };
    const found = await this.#run(image, all, options);
    const least = Math.max(FACE_CONFIDENCE, minConfidence);
    return select(found, (box, confidence) => {
      return longSide(box) > LARGE * longerSide && confidence >= least;
    });
  }

  /** Tile pass: finds, at the image's own size, the faces that are tiny in the whole pass. */
  async #searchTiles(image, scale, minConfidence, beforePass) {
    const { side, MAX_SIDE, TILE_OVERLAP } = this.settings;
    const tileScale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
    const passes = [];
    for (const tile of tileBoxes(image, side / tileScale, TILE_OVERLAP)) {
      await beforePass();
      passes.push(await this.#searchTile(image, tile, tileScale, scale, minConfidence));
    }
    return passes;
  }

  async #searchTile(image, tile, tileScale, scale, minConfidence) {
    const { TILE_ODDS, TINY } = this.settings;
    const odds = TILE_ODDS;
    const options = { scale: tileScale, minConfidence, voteConfidence: minConfidence, odds };
    const found = await this.#run(image, tile, options);
    return select(found, (box) => longSide(box) * scale < TINY);
  }

  #countTiny(found, scale) {
    const { FACE_CONFIDENCE, TINY } = this.settings;
    const tiny = select(found, (box, confidence) => {
      return longSide(box) * scale < TINY && confidence >= FACE_CONFIDENCE;
    });
    return tiny.count;
  }

  /** Runs the detect graph on a part of the image; boxes are in pixels of the whole image. */
  async #run(image, tile, { scale, minConfidence, voteConfidence, odds = 1 }) {
    const { coarsest_stride: stride, PAD } = this.settings;
    const part = cropImage(image, tile);
    const width = Math.max(1, roundHalfEven(part.width * scale));
    const height = Math.max(1, roundHalfEven(part.height * scale));
    const inputWidth = Math.ceil(width / stride) * stride;
    const inputHeight = Math.ceil(height / stride) * stride;
    const pixels = new Float32Array(inputWidth * inputHeight * 3).fill(PAD);
    copyRgb(resizeImage(part, width, height), pixels, inputWidth);
    const result = await this.sessions.detect.run({
      pixels: new ort.Tensor("float32", pixels, [1, inputHeight, inputWidth, 3]),
      input_wh: new ort.Tensor("int64", [BigInt(inputWidth), BigInt(inputHeight)], [2]),
      min_confidence: scalar(minConfidence),
      vote_confidence: scalar(voteConfidence),
      scale_xy: floats([width / part.width, height / part.height], [2]),
      tile: floats(tile, [4]),
      image_wh: floats([image.width, image.height], [2]),
      tile_odds: scalar(odds),
    });
    return {
      boxes: result.pass_boxes.data,
      confidence: result.pass_confidence.data,
      probabilities: result.pass_y_prob.data,
      count: result.pass_confidence.dims[0],
    };
  }

  /** Merges passes, of which each has a face; returns {box, confidence, opinion, square} of each. */
  async #merge(passes, largeCount) {
    const count = passes.reduce((total, pass) => total + pass.count, 0);
    const result = await this.sessions.merge.run({
      boxes: floats(passes.flatMap((pass) => [...pass.boxes]), [count, 4]),
      confidence: floats(passes.flatMap((pass) => [...pass.confidence]), [count]),
      y_prob: floats(passes.flatMap((pass) => [...pass.probabilities]), [count, 3]),
      large_count: new ort.Tensor("int64", [BigInt(largeCount)], []),
      is_single: new ort.Tensor("bool", [passes.length === 1], []),
    });
    const boxes = toRows(result.face_boxes);
    const opinions = toRows(result.face_y_prob);
    const squares = toRows(result.squares);
    return boxes.map((box, index) => ({
      box,
      confidence: result.face_confidence.data[index],
      opinion: opinions[index],
      square: squares[index],
    }));
  }

  /** Returns the answer about each face, or null for one that the classifier calls no face. */
  async #classify(image, faces) {
    const { input_size: size, class_names: names } = this.settings;
    const answers = [];
    for (let start = 0; start < faces.length; start += BATCH_SIZE) {
      const batch = faces.slice(start, start + BATCH_SIZE);
      const pixels = new Float32Array(batch.length * size * size * 3);
      for (const [index, { square }] of batch.entries()) {
        const crop = resizeImage(cropImage(image, square), size, size);
        copyRgb(crop, pixels, size, index * size * size);
      }
      const opinions = batch.flatMap((face) => face.opinion);
      const result = await this.sessions.classify.run({
        pixels: new ort.Tensor("float32", pixels, [batch.length, size, size, 3]),
        y_prob_detector: floats(opinions, [batch.length, 3]),
      });
      for (const [index, row] of toRows(result.y_prob).entries()) {
        const answer = Number(result.answer.data[index]);
        const found = {
          probabilities: Object.fromEntries(names.map((name, column) => [name, row[column]])),
          className: names[answer],
          probability: row[answer],
          unsure: Boolean(result.is_unsure.data[index]),
        };
        answers.push(result.is_face.data[index] ? found : null);
      }
    }
    return answers;
  }
}

async function doNothing() {}

/** Returns the boxes of a pass that a test of (box, confidence) accepts. */
function select(found, accepts) {
  const selected = { boxes: [], confidence: [], probabilities: [], count: 0 };
  for (let index = 0; index < found.count; index += 1) {
    const box = Array.from(found.boxes.slice(4 * index, 4 * index + 4));
    if (accepts(box, found.confidence[index])) {
      selected.boxes.push(...box);
      selected.confidence.push(found.confidence[index]);
      selected.probabilities.push(...found.probabilities.slice(3 * index, 3 * index + 3));
      selected.count += 1;
    }
  }
  return selected;
}

/** Returns the rows of a tensor (N, C) as arrays. */
function toRows({ data, dims: [count, length] }) {
  const rows = [];
  for (let index = 0; index < count; index += 1) {
    rows.push(Array.from(data.slice(length * index, length * (index + 1))));
  }
  return rows;
}

function longSide(box) {
  return Math.max(box[2] - box[0], box[3] - box[1]);
}

/** Returns evenly spaced square tiles that cover an image, as utils.boxes.tile_boxes does. */
function tileBoxes(image, side, overlap) {
  const columns = tileStarts(image.width, side, overlap);
  const rows = tileStarts(image.height, side, overlap);
  const tiles = [];
  for (const y of rows) {
    for (const x of columns) {
      const right = Math.min(roundHalfEven(x + side), image.width);
      const bottom = Math.min(roundHalfEven(y + side), image.height);
      tiles.push([x, y, right, bottom]);
    }
  }
  return tiles;
}

function tileStarts(length, side, overlap) {
  const count = 1 + Math.max(0, Math.ceil((length - side) / (side * (1 - overlap))));
  const last = Math.max(0, length - side);
  const starts = [];
  for (let index = 0; index < count; index += 1) {
    starts.push(roundHalfEven(count === 1 ? 0 : (last * index) / (count - 1)));
  }
  return starts;
}

function scalar(value) {
  return floats([value], []);
}

function floats(values, shape) {
  return new ort.Tensor("float32", Float32Array.from(values), shape);
}
