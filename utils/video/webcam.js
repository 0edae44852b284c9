// The browser's half of the webcam widget: one frame is on its way to the kernel at a time, so that nothing queues up.
function explain(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use the camera: allow it and run the cell again.";
  if (error.name === "NotFoundError") return "There is no camera: plug one in and run the cell again.";
  if (error.name === "NotReadableError") return "The camera is in use: close the program that uses it and run the cell again.";
  return `The camera cannot be used (${error}).`;
}

function drawShares(canvas, history, classes) {
  const pen = canvas.getContext("2d");
  const ink = getComputedStyle(canvas).color;
  const [left, bottom, width, height] = [40, 18, canvas.width - 44, canvas.height - 30];
  const most = Math.max(1, ...history.map((second) => second.counts.reduce((sum, count) => sum + count, 0)));
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.font = "12px sans-serif";
  pen.fillStyle = ink;
  pen.textAlign = "right";
  pen.fillText(String(most), left - 6, 22);
  pen.fillText("0", left - 6, 12 + height);
  pen.textAlign = "left";
  const now = history[history.length - 1]?.counts ?? [0];
  const people = now.reduce((sum, count) => sum + count, 0);
  const share = people ? `, now ${people}, ${Math.round((100 * now[0]) / people)} % ${classes[0][0].replaceAll("_", " ")}` : "";
  pen.fillText(`people each second${share}`, left, 10);
  const step = width / 120;
  history.forEach((second, at) => {
    let floor = 12 + height;
    second.counts.forEach((count, id) => {
      const tall = (height - 2) * (count / most);
      pen.fillStyle = classes[id][1];
      pen.fillRect(left + at * step, floor - tall, Math.max(1, step - 0.5), tall);
      floor -= tall;
    });
  });
  pen.fillStyle = ink;
  pen.fillRect(left, 12 + height, width, 1);
  if (history.length) {
    pen.textAlign = "left";
    pen.fillText(`${Math.round(history[0].second)} s`, left, canvas.height - 4);
    pen.textAlign = "right";
    pen.fillText(`${Math.round(history[history.length - 1].second)} s`, left + history.length * step, canvas.height - 4);
  }
  canvas.setAttribute("aria-label", `People each second, up to ${most}${share}`);
}

async function render({ model, el }) {
  const classes = model.get("classes");
  el.innerHTML = `
    <div class="fmd-webcam">
      <canvas class="fmd-camera" width="${model.get("width")}" height="${model.get("height")}" role="img"
        aria-label="The camera's picture with the faces found"></canvas>
      <div class="fmd-line"><button type="button" class="fmd-stop">Stop</button>
        <span class="fmd-status" role="status">Waiting for the camera ...</span></div>
      <canvas class="fmd-shares" width="640" height="120" role="img"></canvas>
      <div class="fmd-legend"></div>
    </div>
    <style>
      .fmd-webcam { max-width: 660px; color: var(--jp-ui-font-color1, #222); font: 14px var(--jp-ui-font-family, sans-serif); }
      .fmd-webcam canvas { display: block; max-width: 100%; }
      .fmd-webcam .fmd-camera { background: #000; }
      .fmd-webcam .fmd-line { display: flex; gap: 12px; align-items: center; margin: 6px 0; }
      .fmd-webcam button { padding: 4px 16px; font: inherit; }
      .fmd-webcam .fmd-legend { display: flex; gap: 16px; }
      .fmd-webcam .fmd-legend i { display: inline-block; width: 12px; height: 12px; margin-right: 4px; }
    </style>`;
  const part = (name) => el.querySelector(`.fmd-${name}`);
  const [camera, shares, status, stop] = ["camera", "shares", "status", "stop"].map(part);
  classes.forEach(([name, color]) => {
    const entry = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.background = color;
    entry.append(swatch, name.replaceAll("_", " "));
    part("legend").append(entry);
  });
  const pen = camera.getContext("2d");
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  const held = document.createElement("canvas"); // the frame that the kernel is looking at
  held.width = camera.width;
  held.height = camera.height;
  const history = [];
  let stream, late, stopped = false;

  function end(text) {
    stopped = true;
    clearTimeout(late);
    stream?.getTracks().forEach((track) => track.stop());
    status.textContent = text;
    stop.disabled = true;
  }

  function send() {
    if (stopped) return;
    held.getContext("2d").drawImage(video, 0, 0, held.width, held.height);
    const jpeg = held.toDataURL("image/jpeg", 0.85).split(",")[1]; // text: Jupyter's gateways to other servers lose bytes
    model.send({ kind: "frame", sent: performance.now(), jpeg });
    late = setTimeout(() => (status.textContent = "The kernel does not answer: is another cell running, or was it restarted?"), 5000);
  }

  function blurBox([left, top, right, bottom]) {
    const tiny = document.createElement("canvas");
    tiny.width = tiny.height = 6;
    if (right - left < 1 || bottom - top < 1) return;
    tiny.getContext("2d").drawImage(held, left, top, right - left, bottom - top, 0, 0, 6, 6);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(tiny, left, top, right - left, bottom - top);
  }

  function drawFace([x, y, width, height, caption, color]) {
    pen.lineWidth = 3;
    pen.font = "16px sans-serif";
    pen.strokeStyle = pen.fillStyle = color;
    pen.strokeRect(x, y, width, height);
    const wide = pen.measureText(caption).width + 8;
    const at = [Math.max(0, Math.min(x, camera.width - wide)), y >= 20 ? y - 20 : y + height];
    pen.fillRect(at[0], at[1], wide, 20);
    pen.fillStyle = "#000";
    pen.fillText(caption, at[0] + 4, at[1] + 15);
  }

  function answer(message) {
    if (stopped) return;
    clearTimeout(late);
    if (message.problem) return end(message.problem);
    pen.drawImage(held, 0, 0);
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
  stop.addEventListener("click", () => {
    end(`${status.textContent}. Stopped.`);
    model.send({ kind: "stop" });
  });
  try {
    if (!navigator.mediaDevices) throw new Error("a page must come from https or localhost for it");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: camera.width, height: camera.height } });
    video.srcObject = stream;
    await video.play();
    const scale = Math.min(camera.width / video.videoWidth, camera.height / video.videoHeight); // whatever its shape is
    camera.width = held.width = Math.round(scale * video.videoWidth);
    camera.height = held.height = Math.round(scale * video.videoHeight);
    send();
  } catch (error) {
    end(explain(error));
    model.send({ kind: "problem", text: status.textContent });
  }
  return () => {
    end("Stopped.");
    model.off("msg:custom", answer);
  };
}

export default { render };
