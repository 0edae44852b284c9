// The browser's half of the webcam widget. The camera is used from Start to Stop only. The next frame is sent after the
// answer to the last one, so that no frames queue up.
const SLOW_MS = 5000; // without an answer after which the status says so ...
const SILENT_MS = 60000; // ... and after which the camera is released

// Return a sentence about a camera that cannot be used.
function explain(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use the camera: allow it and press Start again.";
  if (error.name === "NotFoundError") return "There is no camera: plug one in and press Start again.";
  if (error.name === "NotReadableError") return "The camera is in use: close the program that uses it and press Start again.";
  return `The camera cannot be used (${error}).`;
}

// Draw the people of each second as a bar, stacked by class.
function drawShares(canvas, history, classes) {
  const context = canvas.getContext("2d");
  const ink = getComputedStyle(canvas).color;
  const [left, bottom, width, height] = [40, 18, canvas.width - 44, canvas.height - 30];
  const most = Math.max(1, ...history.map((second) => second.counts.reduce((sum, count) => sum + count, 0)));
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = "12px sans-serif";
  context.fillStyle = ink;
  context.textAlign = "right";
  context.fillText(String(most), left - 6, 22);
  context.fillText("0", left - 6, 12 + height);
  context.textAlign = "left";
  const now = history[history.length - 1]?.counts ?? [0];
  const people = now.reduce((sum, count) => sum + count, 0);
  const share = people ? `, now ${people}, ${Math.round((100 * now[0]) / people)} % ${classes[0][0].replaceAll("_", " ")}` : "";
  context.fillText(`people each second${share}`, left, 10);
  const step = width / 120;
  history.forEach((second, at) => {
    let floor = 12 + height;
    second.counts.forEach((count, id) => {
      const barHeight = (height - 2) * (count / most);
      context.fillStyle = classes[id][1];
      context.fillRect(left + at * step, floor - barHeight, Math.max(1, step - 0.5), barHeight);
      floor -= barHeight;
    });
  });
  context.fillStyle = ink;
  context.fillRect(left, 12 + height, width, 1);
  if (history.length) {
    context.textAlign = "left";
    context.fillText(`${Math.round(history[0].second)} s`, left, canvas.height - 4);
    context.textAlign = "right";
    context.fillText(`${Math.round(history[history.length - 1].second)} s`, left + history.length * step, canvas.height - 4);
  }
  canvas.setAttribute("aria-label", `People each second, up to ${most}${share}`);
}

function render({ model, el }) {
  const classes = model.get("classes");
  el.innerHTML = `
    <div class="fmd-webcam">
      <div class="fmd-line">
        <button type="button" class="fmd-start">Start</button>
        <button type="button" class="fmd-stop" disabled>Stop</button>
        <span class="fmd-status" role="status">The camera is off.</span>
      </div>
      <div class="fmd-live" hidden>
        <canvas class="fmd-camera" width="${model.get("width")}" height="${model.get("height")}" role="img"
          aria-label="The camera's picture with the faces found"></canvas>
        <canvas class="fmd-shares" width="640" height="120" role="img"></canvas>
        <div class="fmd-legend"></div>
      </div>
      <img class="fmd-plot" alt="What was counted from Start to Stop" hidden>
    </div>
    <style>
      .fmd-webcam { max-width: 660px; color: var(--jp-ui-font-color1, #222); font: 14px var(--jp-ui-font-family, sans-serif); }
      .fmd-webcam canvas { display: block; max-width: 100%; }
      .fmd-webcam .fmd-camera { background: #000; }
      .fmd-webcam .fmd-line { display: flex; gap: 12px; align-items: center; margin: 6px 0; }
      .fmd-webcam button { padding: 4px 16px; font: inherit; }
      .fmd-webcam .fmd-legend { display: flex; gap: 16px; }
      .fmd-webcam .fmd-legend i { display: inline-block; width: 12px; height: 12px; margin-right: 4px; }
      .fmd-webcam .fmd-plot { max-width: 100%; background: #fff; }
    </style>`;
  const element = (name) => el.querySelector(`.fmd-${name}`);
  const [startButton, stopButton, status] = ["start", "stop", "status"].map(element);
  const [live, camera, shares, plot] = ["live", "camera", "shares", "plot"].map(element);
  classes.forEach(([name, color]) => {
    const entry = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.background = color;
    entry.append(swatch, name.replaceAll("_", " "));
    element("legend").append(entry);
  });
  const context = camera.getContext("2d");
  const sentFrame = document.createElement("canvas"); // the frame that the kernel processes
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  let history = [];
  let stream = null;
  let run = null; // what identifies the present run of the camera, or null while it is off
  let timeouts = [];

  function release(someStream) {
    someStream?.getTracks().forEach((track) => track.stop());
  }

  function clearTimeouts() {
    timeouts.forEach(clearTimeout);
    timeouts = [];
  }

  // Release the camera and show why.
  function end(text) {
    run = null;
    clearTimeouts();
    release(stream);
    stream = null;
    video.srcObject = null;
    context.clearRect(0, 0, camera.width, camera.height);
    live.hidden = true;
    status.textContent = text;
    startButton.disabled = false;
    stopButton.disabled = true;
  }

  // End the run, and ask the kernel for the plot of what it counted.
  function stop(text) {
    if (run === null) return;
    end(text);
    model.send({ kind: "stop" });
  }

  async function start() {
    const thisRun = Math.random(); // another view of this widget gets its answers too
    run = thisRun;
    history = [];
    startButton.disabled = true;
    stopButton.disabled = false;
    plot.hidden = true;
    status.textContent = "Waiting for the camera ...";
    model.send({ kind: "start" });
    try {
      if (!navigator.mediaDevices) throw new Error("a page must come from https or localhost for it");
      const size = { width: model.get("width"), height: model.get("height") };
      const opened = await navigator.mediaDevices.getUserMedia({ video: size });
      if (run !== thisRun) return release(opened); // stopped while the browser asked for permission
      stream = opened;
      stream.getTracks().forEach((track) => track.addEventListener("ended", () => stop("The camera was disconnected.")));
      video.srcObject = stream;
      await video.play();
      if (run !== thisRun) return;
      const scale = Math.min(size.width / video.videoWidth, size.height / video.videoHeight); // keeps its shape
      camera.width = sentFrame.width = Math.round(scale * video.videoWidth);
      camera.height = sentFrame.height = Math.round(scale * video.videoHeight);
      live.hidden = false;
      send();
    } catch (error) {
      if (run !== thisRun) return;
      end(explain(error));
      model.send({ kind: "problem", text: status.textContent });
    }
  }

  function send() {
    if (run === null) return;
    sentFrame.getContext("2d").drawImage(video, 0, 0, sentFrame.width, sentFrame.height);
    const jpeg = sentFrame.toDataURL("image/jpeg", 0.85).split(",")[1]; // as text, because Jupyter gateways to other servers lose binary data
    model.send({ kind: "frame", run, sent: performance.now(), jpeg });
    const slow = "The kernel does not answer: is another cell running, or was it restarted?";
    timeouts.push(setTimeout(() => (status.textContent = slow), SLOW_MS));
    timeouts.push(setTimeout(() => stop("Stopped, because the kernel did not answer."), SILENT_MS));
  }

  function blurBox([left, top, right, bottom]) {
    const tiny = document.createElement("canvas");
    tiny.width = tiny.height = 6;
    if (right - left < 1 || bottom - top < 1) return;
    tiny.getContext("2d").drawImage(sentFrame, left, top, right - left, bottom - top, 0, 0, 6, 6);
    context.imageSmoothingEnabled = false;
    context.drawImage(tiny, left, top, right - left, bottom - top);
  }

  function drawFace([x, y, width, height, caption, color]) {
    context.lineWidth = 3;
    context.font = "16px sans-serif";
    context.strokeStyle = context.fillStyle = color;
    context.strokeRect(x, y, width, height);
    const captionWidth = context.measureText(caption).width + 8;
    const at = [Math.max(0, Math.min(x, camera.width - captionWidth)), y >= 20 ? y - 20 : y + height];
    context.fillRect(at[0], at[1], captionWidth, 20);
    context.fillStyle = "#000";
    context.fillText(caption, at[0] + 4, at[1] + 15);
  }

  function answer(message) {
    if (message.plot && run === null) {
      plot.src = `data:image/png;base64,${message.plot}`;
      plot.hidden = false;
    }
    if (run === null || message.run !== run) return;
    clearTimeouts();
    if (message.problem) return stop(message.problem);
    context.drawImage(sentFrame, 0, 0);
    message.blurred.forEach(blurBox);
    message.faces.forEach(drawFace);
    status.textContent = `${message.status}, ${Math.round(performance.now() - message.sent)} ms to the boxes`;
    const last = history[history.length - 1];
    if (last?.second === message.second) last.counts = message.counts;
    else history.push({ second: message.second, counts: message.counts });
    while (history.length > 120) history.shift();
    drawShares(shares, history, classes);
    requestAnimationFrame(send);
  }

  model.on("msg:custom", answer);
  startButton.addEventListener("click", start);
  stopButton.addEventListener("click", () => stop("Stopped. The camera is off."));
  // The notebook removes the widget: the cell is run again, deleted, or its notebook closed.
  return () => {
    model.off("msg:custom", answer);
    end("The camera is off.");
  };
}

export default { render };
