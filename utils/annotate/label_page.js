// What the browser runs of the labelling widget: a JavaScript module, which loads nothing from anywhere.
// ``data-lm-suppress-shortcuts`` keeps JupyterLab's own keys away while the widget has the focus; Esc leaves it.

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);   // answers to another view of this widget are told apart by it
  const faces = new Map();                            // position -> what the kernel sent of a face, and its picture
  let state = null, queue = [], outbox = [], isSent = false, isTakingBack = false;

  const root = document.createElement("div");
  root.className = "fmd fmd-label";
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Label faces");
  root.innerHTML = `
    <div class="fmd-line"><span class="fmd-count">Waiting for the kernel: if this stays, run the cell again.</span>
      <span class="fmd-note" role="status"></span></div>
    <progress aria-label="faces done" value="0" max="1"></progress>
    <div class="fmd-problem" role="alert" hidden></div>
    <div class="fmd-two">
      <div class="fmd-face"></div>
      <div class="fmd-side"><div class="fmd-buttons fmd-classes"></div><p class="fmd-hint"></p>
        <div class="fmd-buttons fmd-others"></div></div>
    </div>
    <div class="fmd-line fmd-small"><span class="fmd-file"></span><span class="fmd-keys"></span></div>`;
  const part = (name) => root.querySelector(".fmd-" + name);
  const buttons = new Map();
  const addButton = (parent, key, text, act, color) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-keyshortcuts", key);
    button.innerHTML = "<kbd></kbd><span></span><small></small>";
    button.children[0].textContent = key;
    button.children[1].textContent = text;
    if (color) button.style.setProperty("--fmd-color", color);
    button.addEventListener("click", act);
    part(parent).append(button);
    buttons.set(key, button);
  };
  model.get("classes").forEach(([name, color], id) => {
    addButton("classes", String(id + 1), name, () => decide(id), color);
  });
  addButton("others", "s", model.get("mend") ? "leave as it is" : "skip", () => decide(-1));
  addButton("others", "u", "undo", takeBack);
  if (model.get("has_suggestions")) addButton("others", "h", "", () => {
    model.set("hide_suggestion", !model.get("hide_suggestion"));
    model.save_changes();
  });

  // One message at a time, with all that was done since the last: JupyterLab can bring two in the wrong order.
  function send() {
    if (isSent) return;
    model.send({ view, actions: outbox, have: [...faces.keys()] });
    outbox = [];
    isSent = true;
  }
  function decide(class_id) {
    if (isTakingBack || !faces.has(queue[0])) return;  // never a label for a face that is not on the screen
    outbox.push([class_id, queue.shift()]);
    send();
    draw();
  }
  function takeBack() {
    isTakingBack = true;
    outbox.push(["undo"]);
    send();
  }

  function receive(message, buffers) {
    message.faces.forEach((face, at) => {
      const picture = new Image();
      const data = new Blob([buffers[at]], { type: "image/jpeg" });
      if (face.problem === undefined) picture.src = URL.createObjectURL(data);
      picture.alt = "The face to label, with what is about it";
      forget(face.position);
      faces.set(face.position, { ...face, picture });
    });
    if (message.view === view) isSent = false;
    if (outbox.length) send();
    if (!isSent) {                                     // else the browser is ahead, and its own queue is the newer one
      queue = message.queue;
      isTakingBack = false;
    }
    state = message;
    [...faces.keys()].slice(0, -12).filter((position) => !queue.includes(position)).forEach(forget);
    if (message.note) flash(message.note);
    part("problem").textContent = message.problem ?? "";
    part("problem").hidden = !message.problem;
    draw();
    const isWriting = document.activeElement?.closest("input, textarea, select, [contenteditable=true]");
    if (message.view === view && message.take_focus && !isWriting) {
      root.focus({ preventScroll: true });
      root.scrollIntoView({ block: "nearest" });
    }
  }
  function forget(position) {
    URL.revokeObjectURL(faces.get(position)?.picture.src ?? "");
    faces.delete(position);
  }
  function flash(text) {
    part("note").textContent = text;
    part("note").getAnimations().forEach((animation) => animation.cancel());
    const steps = [{ opacity: 1 }, { opacity: 1, offset: 0.6 }, { opacity: 0 }];
    part("note").animate(steps, { duration: 1600, fill: "forwards" });
  }

  function draw() {
    if (!state) return;
    const face = faces.get(queue[0]), isHidden = model.get("hide_suggestion");
    const isOver = state.left === 0 && !isSent;
    const count = `${state.done} of ${state.total} done, ${state.left} left`;
    const end = state.total ? `All ${state.total} faces are done` : "There are no faces here yet";
    part("count").textContent = isOver ? end : count;
    Object.assign(root.querySelector("progress"), { max: Math.max(1, state.total), value: state.done });
    [...part("classes").children].forEach((button, id) => {
      button.children[2].textContent = state.counts[id];
      button.disabled = isOver;
    });
    const skipped = state.counts[state.counts.length - 1];
    buttons.get("s").children[2].textContent = skipped || "";
    buttons.get("s").disabled = isOver;
    if (buttons.has("h")) buttons.get("h").children[1].textContent = isHidden ? "show suggestion" : "hide suggestion";
    const hints = [];
    if (face?.present) hints.push(`Labelled ${face.present}.`);
    if (face?.suggestion && !isHidden) hints.push(`The model suggests ${face.suggestion}.`);
    part("hint").textContent = hints.join(" ");
    part("file").textContent = isOver ? "" : (face?.file ?? "");
    root.dataset.position = isOver ? "" : (face?.position ?? "");
    if (isOver) part("face").replaceChildren(summary(skipped));
    else if (face?.problem !== undefined) part("face").replaceChildren(face.problem + " Skip it.");
    else part("face").replaceChildren(face ? face.picture : "The next face is on its way ...");
  }
  function summary(skipped) {
    const box = Object.assign(document.createElement("div"), { className: "fmd-summary" });
    const add = (tag, text) => box.append(Object.assign(document.createElement(tag), { textContent: text }));
    model.get("classes").forEach(([name], id) => add("div", `${state.counts[id]} ${name}`));
    if (skipped) add("div", `${skipped} skipped: run this cell again to be asked for them once more.`);
    add("div", `All of it is in ${state.journal}.`);
    return box;
  }

  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1];  // also where digits need the shift key
    const key = digit ?? event.key.toLowerCase();
    const isUndo = (event.ctrlKey || event.metaKey) && key === "z";
    if (key === "escape") document.activeElement.blur();
    const button = isUndo ? buttons.get("u") : buttons.get(key);
    if (!button || event.altKey || ((event.ctrlKey || event.metaKey) && !isUndo)) return;
    event.preventDefault();
    if (!event.repeat) button.click();                 // a key that is held down labels one face
  });
  root.addEventListener("pointerup", () => root.focus({ preventScroll: true }));
  const showKeys = () => {
    part("keys").textContent = root.matches(":focus-within") ? "Keys are on, Esc leaves" : "Click here to use the keys";
  };
  root.addEventListener("focusin", showKeys);
  root.addEventListener("focusout", () => setTimeout(showKeys));
  showKeys();
  model.on("msg:custom", receive);
  model.on("change:hide_suggestion", draw);
  el.append(root);
  send();
  return () => {
    model.off("msg:custom", receive);
    model.off("change:hide_suggestion", draw);
    [...faces.keys()].forEach(forget);
  };
}
export default { render };
