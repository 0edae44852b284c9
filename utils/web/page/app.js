/** The page: opens pictures and the camera, shows the faces, and saves the answers. */

import { blurFaces, drawFaces, formatCaption } from "./drawing.js";
import { formatCsv, formatJson, makeRecord } from "./records.js";
import { RemoteDetector } from "./remote.js";
import { Shares } from "./shares.js";

const MAX_THREADS = 4;
const BLUR_SHARE = 0.5; // of the least confidence: what may be a face is blurred too
const CAMERA_SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };
const CAMERA_PROBLEMS = {
  NotAllowedError: "The camera was refused: allow it in the browser's settings for this page.",
  NotFoundError: "There is no camera: choose a picture instead.",
  NotReadableError: "The camera is used by another program: close that one, then start again.",
};

const byId = (id) => document.getElementById(id);
const parts = {
  blur: byId("blur"),
  drop: byId("drop"),
  faces: byId("faces"),
  facesScroll: byId("faces-scroll"),
  least: byId("least"),
  leastValue: byId("least-value"),
  live: byId("live"),
  picture: byId("picture"),
  plot: byId("plot"),
  problem: byId("problem"),
  result: byId("result"),
  saveCsv: byId("save-csv"),
  saveJson: byId("save-json"),
  savePicture: byId("save-picture"),
  shares: byId("shares"),
  sharesText: byId("shares-text"),
  snap: byId("snap"),
  state: byId("state"),
  summary: byId("summary"),
  turn: byId("turn"),
  video: byId("video"),
  view: byId("view"),
};
const view = parts.view.getContext("2d");
const detector = new RemoteDetector();
const ready = loadDetector();

let shown = null; // {name, canvas, faces}: the picture or frame that is shown
let opened = 0; // counts pictures and cameras, so that a late answer for an earlier one is dropped
let stream = null; // of the camera, while live
let facing = "environment";

async function loadDetector() {
  const cores = navigator.hardwareConcurrency || 1;
  const threads = await detector.load(Math.min(MAX_THREADS, cores));
  parts.state.textContent = `Ready, with ${threads} ${threads === 1 ? "thread" : "threads"}.`;
  document.body.dataset.ready = String(threads);
}

/** Shows a problem as one sentence; an empty one hides it. */
function showProblem(sentence) {
  parts.problem.textContent = sentence;
  parts.problem.hidden = sentence === "";
}

function leastConfidence() {
  return Number(parts.least.value) / 100;
}

/** Finds the faces of a canvas, and those to blur. */
async function findFaces(canvas, fast) {
  await ready;
  const least = leastConfidence();
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const minConfidence = parts.blur.checked ? BLUR_SHARE * least : least;
  const possible = await detector.detect(image, { minConfidence, fast });
  return { possible, faces: possible.filter((face) => face.confidence >= least) };
}

/** Draws a picture with its faces, and lists them. */
function show({ name, canvas, faces, possible }, isLive) {
  shown = { name, canvas, faces };
  parts.result.hidden = false;
  parts.view.width = canvas.width;
  parts.view.height = canvas.height;
  view.drawImage(canvas, 0, 0);
  if (parts.blur.checked) {
    blurFaces(view, possible);
  }
  drawFaces(view, faces);
  const text = describe(faces);
  parts.summary.setAttribute("aria-live", isLive ? "off" : "polite");
  parts.summary.textContent = `${name}: ${text}`;
  parts.view.setAttribute("aria-label", `${name}: ${text}`);
  parts.faces.replaceChildren(...faces.map(makeRow));
  parts.facesScroll.hidden = faces.length === 0;
  document.body.dataset.faces = String(faces.length);
}

/** Returns "3 faces: 2 with_mask, 1 without_mask; 1 unsure". */
function describe(faces) {
  if (faces.length === 0) {
    return "no face";
  }
  const counts = new Map();
  for (const face of faces) {
    counts.set(face.className, (counts.get(face.className) ?? 0) + 1);
  }
  const classes = [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
  const unsure = faces.filter((face) => face.unsure).length;
  const noun = faces.length === 1 ? "face" : "faces";
  return `${faces.length} ${noun}: ${classes}${unsure > 0 ? `; ${unsure} unsure` : ""}`;
}

function makeRow(face, index) {
  const row = document.createElement("tr");
  const share = formatCaption(face).slice(face.className.length + 1);
  const confidence = `${Math.round(100 * face.confidence)} %`;
  for (const text of [String(index + 1), face.className, share, confidence]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

/** Opens a picture file. */
async function openFile(file) {
  stopCamera();
  opened += 1;
  const mine = opened;
  const name = file.name || "pasted picture";
  showProblem("");
  delete document.body.dataset.faces;
  parts.state.textContent = `Looking at ${name} …`;
  try {
    const canvas = await readPicture(file, name);
    const found = await findFaces(canvas, false);
    if (mine === opened) {
      show({ name, canvas, ...found }, false);
    }
  } catch (error) {
    if (mine === opened) {
      showProblem(error.message);
    }
  }
  if (mine === opened) {
    parts.state.textContent = "Ready.";
  }
}

/** Returns a picture on a canvas, upright, on white where it is transparent. */
async function readPicture(file, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${name} cannot be read as a picture: choose a JPEG, PNG or WebP file.`);
  }
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) {
    throw new Error(`${name} is too large for this browser: reduce it first.`);
  }
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/** Looks at the shown picture again, after a change of settings. */
async function lookAgain() {
  if (shown === null || stream !== null) {
    return;
  }
  const { name, canvas } = shown;
  const mine = opened;
  delete document.body.dataset.faces;
  const found = await findFaces(canvas, false);
  if (mine === opened) {
    show({ name, canvas, ...found }, false);
  }
}

async function startCamera() {
  showProblem("");
  if (navigator.mediaDevices === undefined) {
    showProblem("The camera needs an address with https, or localhost.");
    return;
  }
  stopCamera();
  opened += 1;
  const mine = opened;
  try {
    const video = { ...CAMERA_SIZE, facingMode: facing };
    const started = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    if (mine !== opened) {
      endStream(started);
      return;
    }
    stream = started;
    parts.video.srcObject = stream;
    await parts.video.play();
  } catch (error) {
    stopCamera();
    showProblem(CAMERA_PROBLEMS[error.name] ?? `The camera cannot be used: ${error.message}`);
    return;
  }
  setLive(true);
  const cameras = await navigator.mediaDevices.enumerateDevices();
  const count = cameras.filter((device) => device.kind === "videoinput").length;
  parts.turn.hidden = count < 2;
  await watch(mine);
}

/** Looks at one frame after the other, until the camera stops. */
async function watch(mine) {
  const shares = new Shares();
  const plot = parts.plot.getContext("2d");
  const times = [];
  while (stream !== null && mine === opened) {
    const canvas = document.createElement("canvas");
    canvas.width = parts.video.videoWidth;
    canvas.height = parts.video.videoHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(parts.video, 0, 0);
    let found;
    try {
      found = await findFaces(canvas, true);
    } catch (error) {
      stopCamera();
      showProblem(error.message);
      return;
    }
    if (mine !== opened) {
      return;
    }
    show({ name: "camera", canvas, ...found }, true);
    const now = performance.now() / 1000;
    times.push(now);
    if (times.length > 30) {
      times.shift();
    }
    const fps = times.length > 1 ? (times.length - 1) / (now - times[0]) : 0;
    document.body.dataset.fps = fps.toFixed(1);
    parts.state.textContent = `Live, ${fps.toFixed(1)} frames a second.`;
    shares.add(found.faces, now);
    showShares(shares, plot, now);
    await new Promise(requestAnimationFrame);
  }
}

function showShares(shares, plot, now) {
  const total = shares.total();
  parts.shares.hidden = total === null;
  if (total === null) {
    return;
  }
  shares.draw(plot, now, getComputedStyle(document.body).color);
  const texts = Object.entries(total).map(([name, share]) => `${name} ${Math.round(100 * share)} %`);
  parts.sharesText.textContent = texts.join(", ");
}

function setLive(isLive) {
  parts.live.textContent = isLive ? "Stop live video" : "Start live video";
  parts.live.setAttribute("aria-pressed", String(isLive));
  parts.snap.hidden = !isLive;
  // While frames change, the status is not read aloud.
  parts.state.setAttribute("aria-live", isLive ? "off" : "polite");
}

function stopCamera() {
  if (stream !== null) {
    endStream(stream);
    stream = null;
    parts.video.srcObject = null;
    opened += 1;
    parts.state.textContent = "Ready.";
  }
  parts.turn.hidden = true;
  setLive(false);
}

function endStream(ended) {
  for (const track of ended.getTracks()) {
    track.stop();
  }
}

/** Stops the camera and looks at its last frame with all passes. */
function takePicture() {
  stopCamera();
  lookAgain();
  parts.live.focus();
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function baseName() {
  return shown.name.replace(/\.[^.]*$/, "");
}

function saveRecord(format, type, suffix) {
  const { name, canvas, faces } = shown;
  const text = format(makeRecord(name, canvas.width, canvas.height, faces));
  save(new Blob([text], { type }), `${baseName()}${suffix}`);
}

parts.picture.addEventListener("change", () => {
  const [file] = parts.picture.files;
  if (file !== undefined) {
    openFile(file);
  }
  parts.picture.value = ""; // so that the same file can be chosen again
});

document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
  if (file !== undefined) {
    openFile(file);
  }
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  parts.drop.classList.add("over");
});

document.addEventListener("dragleave", () => parts.drop.classList.remove("over"));

document.addEventListener("drop", (event) => {
  event.preventDefault();
  parts.drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file !== undefined) {
    openFile(file);
  }
});

parts.live.addEventListener("click", () => {
  if (stream === null) {
    startCamera();
  } else {
    stopCamera();
  }
});

parts.turn.addEventListener("click", () => {
  facing = facing === "environment" ? "user" : "environment";
  startCamera();
});

parts.snap.addEventListener("click", takePicture);
parts.blur.addEventListener("change", lookAgain);
parts.least.addEventListener("change", lookAgain);
parts.least.addEventListener("input", () => {
  parts.leastValue.textContent = `${parts.least.value} %`;
});

parts.savePicture.addEventListener("click", () => {
  parts.view.toBlob((blob) => save(blob, `${baseName()}-masks.jpg`), "image/jpeg", 0.92);
});
parts.saveJson.addEventListener("click", () => saveRecord(formatJson, "application/json", ".json"));
parts.saveCsv.addEventListener("click", () => saveRecord(formatCsv, "text/csv", ".csv"));

ready.catch((error) => {
  parts.state.textContent = "";
  showProblem(error.message);
});

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("service-worker.js");
}
