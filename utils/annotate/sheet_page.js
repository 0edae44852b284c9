// What the browser runs of the contact sheet: a JavaScript module, which loads nothing from anywhere.

function render({ model, el }) {
  let page = 0, first = 0;
  const root = document.createElement("div");
  root.className = "fmd fmd-sheet";
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Contact sheet");
  root.innerHTML = `
    <div class="fmd-line">
      <span class="fmd-count" role="status">Waiting for the kernel: if this stays, run the cell again.</span>
      <span class="fmd-buttons fmd-pages"><button type="button">previous</button><span></span>
      <button type="button">next</button></span></div>
    <div class="fmd-problem" role="alert" hidden></div>
    <div class="fmd-grid"></div>
    <div class="fmd-small">A click, Enter or the space bar leaves a picture out, or takes it back in.</div>`;
  const part = (name) => root.querySelector(".fmd-" + name);
  const [previous, where, next] = part("pages").children;
  previous.addEventListener("click", () => model.send({ type: "show", page: page - 1 }));
  next.addEventListener("click", () => model.send({ type: "show", page: page + 1 }));

  function receive(message, buffers) {
    part("problem").textContent = message.problem ?? "";
    part("problem").hidden = !message.problem;
    const count = `${message.kept} of ${message.total} kept, ${message.total - message.kept} left out`;
    part("count").textContent = message.total ? count : "There are no pictures here yet";
    if (message.captions) {
      ({ page, first } = message);
      where.textContent = `page ${page + 1} of ${message.pages}`;
      previous.disabled = page === 0;
      next.disabled = page === message.pages - 1;
      part("pages").hidden = message.pages < 2;
      part("grid").querySelectorAll("img").forEach((picture) => URL.revokeObjectURL(picture.src));
      const tiles = message.captions.map((caption, at) => makeTile(caption, buffers[at], first + at));
      part("grid").replaceChildren(...tiles);
      if (part("grid").firstChild) part("grid").firstChild.tabIndex = 0;
    }
    message.states.forEach(([position, isKept]) => {
      part("grid").children[position - first]?.setAttribute("aria-pressed", isKept);
    });
  }
  function makeTile(caption, data, position) {
    const tile = document.createElement("button");
    tile.type = "button";
    tile.tabIndex = -1;                                // one stop for the tab key; arrows move within
    tile.title = caption;
    const picture = Object.assign(new Image(), { alt: caption ? "" : `picture ${position + 1}` });
    if (data.byteLength) picture.src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    tile.append(picture, Object.assign(document.createElement("span"), { textContent: caption }));
    tile.addEventListener("click", () => {
      const isKept = tile.getAttribute("aria-pressed") !== "true";
      tile.setAttribute("aria-pressed", isKept);
      model.send({ type: "keep", position, kept: isKept });
    });
    return tile;
  }

  part("grid").addEventListener("focusin", (event) => {
    part("grid").querySelectorAll("[tabindex='0']").forEach((tile) => { tile.tabIndex = -1; });
    event.target.closest("button").tabIndex = 0;
  });
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") document.activeElement.blur();
    const tiles = [...part("grid").children], at = tiles.indexOf(document.activeElement);
    const columns = Math.max(1, tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop));
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    tiles[at + step]?.focus();
  });
  model.on("msg:custom", receive);
  el.append(root);
  model.send({ type: "show", page });
  return () => model.off("msg:custom", receive);
}
export default { render };
