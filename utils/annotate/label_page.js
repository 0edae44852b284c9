// The browser side of the labelling widget: a JavaScript module without dependencies.
//
// The kernel holds the state. The browser runs ahead of it: it shows the next face at once, and
// corrects itself with every answer.
// It neither takes the keyboard nor scrolls by itself: keys work after a click on the widget.
// ``data-lm-suppress-shortcuts`` turns off JupyterLab's own keys while the widget has the focus.

const FACES_KEPT = 12;       // pictures kept in memory besides those in the queue
const NOTE_MS = 1600;        // how long a note is shown

const PAGE = `
  <div class="fmd-line">
    <span class="fmd-count">Waiting for the kernel. If this stays, run the cell again.</span>
    <span class="fmd-note" role="status"></span>
  </div>
  <progress aria-label="faces done" value="0" max="1"></progress>
  <div class="fmd-problem" role="alert" hidden></div>
  <div class="fmd-two">
    <div class="fmd-face"></div>
    <div class="fmd-side">
      <div class="fmd-buttons fmd-classes"></div>
      <p class="fmd-hint"></p>
      <div class="fmd-buttons fmd-others"></div>
    </div>
  </div>
  <div class="fmd-line fmd-small">
    <span class="fmd-file"></span>
    <span class="fmd-keys"></span>
  </div>`;

function render({ model, el }) {
  // Several views can show one widget. This name tells which view an answer is for.
  const view = Math.random().toString(36).slice(2);
  const faces = new Map();     // position -> the kernel's message about a face, and its picture
  const buttons = new Map();   // key -> button
  let state = null;            // the kernel's last message
  let queue = [];              // positions of the next faces
  let outbox = [];             // actions not sent yet
  let isWaiting = false;       // a message was sent and not answered yet
  let isUndoing = false;       // an undo was requested and not answered yet

  const root = document.createElement("div");
  root.className = "fmd fmd-label";
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Label faces");
  root.innerHTML = PAGE;

  function part(name) {
    return root.querySelector(".fmd-" + name);
  }

  // Buttons

  function addButton(parent, key, text, act, color) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-keyshortcuts", key);
    button.innerHTML = "<kbd></kbd><span></span><small></small>";
    button.children[0].textContent = key;
    button.children[1].textContent = text;
    if (color) {
      button.style.setProperty("--fmd-color", color);
    }
    button.addEventListener("click", act);
    part(parent).append(button);
    buttons.set(key, button);
  }

  function toggleSuggestion() {
    model.set("hide_suggestion", !model.get("hide_suggestion"));
    model.save_changes();
  }

  model.get("classes").forEach(([name, color], classId) => {
    addButton("classes", String(classId + 1), name, () => decide(classId), color);
  });
  const skipText = model.get("review") ? "keep the label" : "skip";
  addButton("others", "s", skipText, () => decide(-1));
  addButton("others", "u", "undo", undo);
  if (model.get("has_suggestions")) {
    addButton("others", "h", "", toggleSuggestion);
  }

  // Messages to the kernel

  // Only one message is under way at a time, because JupyterLab can deliver two in the wrong
  // order. The next message carries all actions since.
  function send() {
    if (isWaiting) return;
    model.send({ view, actions: outbox, have: [...faces.keys()] });
    outbox = [];
    isWaiting = true;
  }

  function decide(classId) {
    // Never label a face that is not on the screen.
    if (isUndoing || !faces.has(queue[0])) return;
    outbox.push([classId, queue.shift()]);
    send();
    draw();
  }

  function undo() {
    isUndoing = true;
    outbox.push(["undo"]);
    send();
  }

  // Messages from the kernel

  function receive(message, buffers) {
    message.faces.forEach((face, index) => storeFace(face, buffers[index]));
    if (message.view === view) {
      isWaiting = false;
    }
    if (outbox.length) {
      send();
    }
    if (!isWaiting) {   // otherwise the browser is ahead, and its own queue is newer
      queue = message.queue;
      isUndoing = false;
    }
    state = message;
    const old = [...faces.keys()].slice(0, -FACES_KEPT);
    old.filter((position) => !queue.includes(position)).forEach(forgetFace);
    if (message.note) {
      showNote(message.note);
    }
    part("problem").textContent = message.problem ?? "";
    part("problem").hidden = !message.problem;
    draw();
  }

  function storeFace(face, data) {
    const picture = new Image();
    picture.alt = "The face to label and its surroundings";
    if (face.problem === undefined) {
      picture.src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    }
    forgetFace(face.position);
    faces.set(face.position, { ...face, picture });
  }

  function forgetFace(position) {
    URL.revokeObjectURL(faces.get(position)?.picture.src ?? "");
    faces.delete(position);
  }

  // What is shown

  function showNote(text) {
    const note = part("note");
    note.textContent = text;
    note.getAnimations().forEach((animation) => animation.cancel());
    const steps = [{ opacity: 1 }, { opacity: 1, offset: 0.6 }, { opacity: 0 }];
    note.animate(steps, { duration: NOTE_MS, fill: "forwards" });
  }

  function draw() {
    if (!state) return;
    const face = faces.get(queue[0]);
    const isFinished = state.left === 0 && !isWaiting;
    drawProgress(isFinished);
    drawButtons(isFinished);
    drawHint(face);
    part("file").textContent = isFinished ? "" : (face?.file ?? "");
    root.dataset.position = isFinished ? "" : (face?.position ?? "");
    if (isFinished) {
      part("face").replaceChildren(makeSummary());
    } else if (!face) {
      part("face").replaceChildren("Loading the next face ...");
    } else if (face.problem !== undefined) {
      part("face").replaceChildren(`${face.problem} Skip it.`);
    } else {
      part("face").replaceChildren(face.picture);
    }
  }

  function drawProgress(isFinished) {
    let text = `${state.done} of ${state.total} done, ${state.left} left`;
    if (isFinished) {
      text = state.total ? `All ${state.total} faces are done` : "There are no faces here yet";
    }
    part("count").textContent = text;
    const progress = root.querySelector("progress");
    progress.max = Math.max(1, state.total);
    progress.value = state.done;
  }

  function drawButtons(isFinished) {
    [...part("classes").children].forEach((button, classId) => {
      button.children[2].textContent = state.counts[classId];
      button.disabled = isFinished;
    });
    const skip = buttons.get("s");
    skip.children[2].textContent = countSkipped() || "";
    skip.disabled = isFinished;
    if (buttons.has("h")) {
      const isHidden = model.get("hide_suggestion");
      const text = isHidden ? "show suggestion" : "hide suggestion";
      buttons.get("h").children[1].textContent = text;
    }
  }

  function drawHint(face) {
    const hints = [];
    if (face?.label) {
      hints.push(`Labelled ${face.label}.`);
    }
    if (face?.suggestion && !model.get("hide_suggestion")) {
      hints.push(`The model suggests ${face.suggestion}.`);
    }
    part("hint").textContent = hints.join(" ");
  }

  // The counts are one per class, and the skipped faces last.
  function countSkipped() {
    return state.counts[state.counts.length - 1];
  }

  function makeSummary() {
    const box = document.createElement("div");
    box.className = "fmd-summary";
    const lines = model.get("classes").map(([name], id) => `${state.counts[id]} ${name}`);
    const skipped = countSkipped();
    if (skipped) {
      lines.push(`${skipped} skipped. Run this cell again to see them again.`);
    }
    lines.push(`The labels are in ${state.journal}.`);
    for (const text of lines) {
      const line = document.createElement("div");
      line.textContent = text;
      box.append(line);
    }
    return box;
  }

  function showKeys() {
    const hasFocus = root.matches(":focus-within");
    part("keys").textContent = hasFocus
      ? "Keys are on. Esc turns them off."
      : "Click here to use the keys.";
  }

  // Keys

  function handleKey(event) {
    event.stopPropagation();
    // By the key's place, because some keyboards need Shift for digits.
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1];
    const key = digit ?? event.key.toLowerCase();
    const hasControl = event.ctrlKey || event.metaKey;
    const isUndo = hasControl && key === "z";
    if (key === "escape") {
      document.activeElement.blur();
    }
    const button = buttons.get(isUndo ? "u" : key);
    if (!button || event.altKey || (hasControl && !isUndo)) return;
    event.preventDefault();
    if (!event.repeat) {   // holding a key down labels one face only
      button.click();
    }
  }

  root.addEventListener("keydown", handleKey);
  root.addEventListener("pointerup", () => root.focus({ preventScroll: true }));
  root.addEventListener("focusin", showKeys);
  root.addEventListener("focusout", () => setTimeout(showKeys));
  model.on("msg:custom", receive);
  model.on("change:hide_suggestion", draw);
  showKeys();
  el.append(root);
  send();

  function cleanUp() {
    model.off("msg:custom", receive);
    model.off("change:hide_suggestion", draw);
    [...faces.keys()].forEach(forgetFace);
  }
  return cleanUp;
}

export default { render };
