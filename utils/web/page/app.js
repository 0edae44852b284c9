/** The page: opens pictures and the camera, shows the faces, and saves the answers. */

import { Camera } from "./camera.js";
import { blurFaces, drawFaces, formatCaption, formatPercent } from "./drawing.js";
import { NO_MEMORY, readPicture, readPixels, save } from "./pictures.js";
import { formatCsv, formatJson, makeRecord } from "./records.js";
import { RemoteDetector } from "./remote.js";
import { Shares } from "./shares.js";

const MAX_THREADS = 4;
const JPEG_QUALITY = 0.92;
const BLUR_SHARE = 0.5; // of the least confidence: what may be a face is blurred too

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
  update: byId("update"),
  video: byId("video"),
  view: byId("view"),
};
const view = parts.view.getContext("2d");
const detector = new RemoteDetector();
const camera = new Camera(parts.video, loseCamera);
const ready = loadDetector();

let picture = null; // {name, canvas}: the picture or frame that a change of settings is about
let shown = null; // {name, canvas, faces, possible}: the picture or frame that is shown
let looks = 0; // counts pictures and settings, so that a late answer for an earlier one is dropped

document.body.dataset.started = "yes"; // see start.js

async function loadDetector() {
  const cores = navigator.hardwareConcurrency || 1;
  const threads = await detector.load(Math.min(MAX_THREADS, cores));
  document.body.dataset.ready = String(threads);
  if (looks > 0 || camera.isOn) {
    return; // the state tells of a picture already
  }
  parts.state.textContent = `Ready, with ${threads} ${threads === 1 ? "thread" : "threads"}.`;
}

/** Shows a problem as one sentence; an empty one hides it. */
function showProblem(sentence) {
  parts.problem.textContent = sentence;
  parts.problem.hidden = sentence === "";
}

function leastConfidence() {
  return Number(parts.least.value) / 100;
}

/** Finds the faces of a canvas, and those to blur. Frames of a video are numbered from 0. */
async function findFaces(canvas, frame) {
  await ready;
  const least = leastConfidence();
  const image = readPixels(canvas, canvas.width, canvas.height);
  const minConfidence = parts.blur.checked ? BLUR_SHARE * least : least;
  const possible = await detector.detect(image, { minConfidence, frame });
  return { possible, faces: possible.filter((face) => face.confidence >= least) };
}

/** Draws a picture with its faces, and lists them. */
function show({ name, canvas, faces, possible }) {
  shown = { name, canvas, faces, possible };
  parts.result.hidden = false;
  parts.view.width = canvas.width;
  parts.view.height = canvas.height;
  view.drawImage(canvas, 0, 0);
  if (parts.blur.checked) {
    blurFaces(view, possible);
  }
  drawFaces(view, faces);
  const text = describe(faces);
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
  for (const text of [String(index + 1), face.className, share, formatPercent(face.confidence)]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

/** Opens the first of some files. Without any, a sentence says what to do. */
function openFirst(files, sentence) {
  if (files.length === 0) {
    showProblem(sentence);
    return;
  }
  openFile(files[0]);
  if (files.length > 1) {
    showProblem(`Only the first of ${files.length} files is opened: open the others one by one.`);
  }
}

/** Opens a picture file. */
async function openFile(file) {
  stopCamera();
  const name = file.name || "pasted picture";
  const mine = begin(name);
  picture = null;
  showProblem("");
  try {
    const canvas = await readPicture(file, name);
    if (mine !== looks) {
      return;
    }
    picture = { name, canvas };
  } catch (error) {
    if (mine === looks) {
      giveUp(error);
    }
    return;
  }
  await look();
}

/** Finds and shows the faces of the picture. The answer to an earlier call is dropped. */
async function look() {
  const { name, canvas } = picture;
  const mine = begin(name);
  try {
    const found = await findFaces(canvas);
    if (mine === looks) {
      show({ name, canvas, ...found });
      enableSaving(true);
      // The state is read aloud. The result may just have appeared, which is not.
      parts.state.textContent = parts.summary.textContent;
    }
  } catch (error) {
    if (mine === looks) {
      giveUp(error);
    }
  }
}

/** Starts the work on a picture and returns its number. Until its end, nothing can be saved. */
function begin(name) {
  looks += 1;
  delete document.body.dataset.faces;
  enableSaving(false);
  parts.state.textContent = `Looking at ${name} …`;
  return looks;
}

/** Ends the work on a picture with a problem. An earlier result is not left beside it. */
function giveUp(error) {
  shown = null;
  parts.result.hidden = true;
  parts.state.textContent = "";
  showProblem(error.message);
}

function enableSaving(isEnabled) {
  for (const button of [parts.savePicture, parts.saveJson, parts.saveCsv]) {
    button.disabled = !isEnabled;
  }
}

/** Looks at the picture again, after a change of settings. Live video needs no more. */
function lookAgain() {
  if (picture !== null && !camera.isOn) {
    showProblem("");
    look();
  }
}

async function startCamera() {
  showProblem("");
  stopCamera();
  try {
    if (!(await camera.start())) {
      return;
    }
  } catch (error) {
    stopCamera();
    showProblem(error.message);
    return;
  }
  looks += 1;
  setLive(true);
  showTurn();
  await watch();
}

/** Offers to switch between cameras, if there are several. */
async function showTurn() {
  const hasSeveral = await camera.hasSeveral();
  parts.turn.hidden = !(camera.isOn && hasSeveral);
}

function loseCamera() {
  stopCamera();
  showProblem("The camera has stopped: check that it is connected and allowed, then start again.");
}

/** Shows one frame after the other, until the camera stops. */
async function watch() {
  const shares = new Shares();
  const plot = parts.plot.getContext("2d");
  try {
    for await (const { canvas, found, fps } of camera.watch(findFaces)) {
      picture = { name: "camera", canvas };
      show({ ...picture, ...found });
      enableSaving(true);
      document.body.dataset.fps = fps.toFixed(1);
      parts.state.textContent = `Live, ${fps.toFixed(1)} frames a second.`;
      const now = performance.now() / 1000;
      shares.add(found.faces, now);
      showShares(shares, plot, now);
    }
  } catch (error) {
    stopCamera();
    showProblem(error.message);
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
  parts.live.classList.toggle("primary", isLive);
  parts.snap.hidden = !isLive;
  // While frames change, the status is not read aloud.
  parts.state.setAttribute("aria-live", isLive ? "off" : "polite");
}

function stopCamera() {
  if (camera.isOn) {
    parts.state.textContent = "Ready.";
    enableSaving(true);
  }
  camera.stop();
  parts.turn.hidden = true;
  setLive(false);
}

/** Stops the camera and looks at its frame with all passes. */
function takePicture() {
  picture = { name: "camera", canvas: camera.grab() };
  stopCamera();
  look();
  parts.live.focus();
}

function baseName() {
  return shown.name.replace(/(.)\.[^.]*$/, "$1");
}

function saveRecord(format, type, suffix) {
  const { name, canvas, faces } = shown;
  const text = format(makeRecord(name, canvas.width, canvas.height, faces));
  save(new Blob([text], { type }), `${baseName()}${suffix}`);
}

parts.picture.addEventListener("change", () => {
  if (parts.picture.files.length > 0) {
    openFile(parts.picture.files[0]);
  }
  parts.picture.value = ""; // so that the same file can be chosen again
});

document.addEventListener("paste", (event) => {
  const sentence = "The clipboard holds no picture: copy a picture, then paste it here.";
  openFirst(event.clipboardData.files, sentence);
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  parts.drop.classList.add("over");
});

document.addEventListener("dragleave", () => parts.drop.classList.remove("over"));

document.addEventListener("drop", (event) => {
  event.preventDefault();
  parts.drop.classList.remove("over");
  const sentence = "No file was dropped: save the picture as a file, then drop that.";
  openFirst(event.dataTransfer.files, sentence);
});

parts.live.addEventListener("click", () => {
  if (camera.isOn) {
    stopCamera();
  } else {
    startCamera();
  }
});

parts.turn.addEventListener("click", () => {
  camera.turn();
  startCamera();
  parts.live.focus(); // this button is hidden until the other camera runs
});

parts.snap.addEventListener("click", takePicture);
parts.blur.addEventListener("change", () => {
  if (shown !== null) {
    show(shown); // at once, whatever is done next
  }
  lookAgain();
});
parts.least.addEventListener("change", lookAgain);
parts.least.addEventListener("input", () => {
  parts.leastValue.textContent = `${parts.least.value} %`;
});

parts.savePicture.addEventListener("click", () => {
  const name = `${baseName()}-masks.jpg`;
  parts.view.toBlob(
    (blob) => {
      if (blob === null) {
        showProblem(NO_MEMORY);
      } else {
        save(blob, name);
      }
    },
    "image/jpeg",
    JPEG_QUALITY,
  );
});
parts.saveJson.addEventListener("click", () => saveRecord(formatJson, "application/json", ".json"));
parts.saveCsv.addEventListener("click", () => saveRecord(formatCsv, "text/csv", ".csv"));

ready.catch((error) => {
  parts.state.textContent = "";
  showProblem(error.message);
});

if ("serviceWorker" in navigator) {
  keepPage();
}

/** Keeps the page for use without a network, where the browser allows it. */
async function keepPage() {
  const isKept = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    parts.update.hidden = !isKept;
  });
  try {
    await navigator.serviceWorker.register("service-worker.js");
  } catch {
    // A private window may refuse. The page works without it as long as there is a network.
  }
}
