// The browser side of the contact sheet: a JavaScript module without dependencies.
//
// ``data-lm-suppress-shortcuts`` turns off JupyterLab's own keys while the sheet has the focus.

const PAGE = `
  <div class="fmd-line">
    <span class="fmd-count" role="status">
      Waiting for the kernel. If this stays, run the cell again.
    </span>
    <span class="fmd-buttons fmd-pages">
      <button type="button">previous</button>
      <span></span>
      <button type="button">next</button>
    </span>
  </div>
  <div class="fmd-problem" role="alert" hidden></div>
  <div class="fmd-grid"></div>
  <div class="fmd-small">
    Click a picture, or press Enter or Space, to leave it out or to take it back in.
  </div>`;

function render({ model, el }) {
  let page = 0;
  let first = 0;   // the position of the first picture on the page

  const root = document.createElement("div");
  root.className = "fmd fmd-sheet";
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Contact sheet");
  root.innerHTML = PAGE;

  function part(name) {
    return root.querySelector(".fmd-" + name);
  }

  const [previousButton, pageText, nextButton] = part("pages").children;
  const grid = part("grid");

  function requestPage(number) {
    model.send({ type: "show", page: number });
  }

  function receive(message, buffers) {
    part("problem").textContent = message.problem ?? "";
    part("problem").hidden = !message.problem;
    const leftOut = message.total - message.kept;
    part("count").textContent = message.total
      ? `${message.kept} of ${message.total} kept, ${leftOut} left out`
      : "There are no pictures here yet";
    if (message.captions) {
      showPage(message, buffers);
    }
    message.states.forEach(([position, isKept]) => {
      grid.children[position - first]?.setAttribute("aria-pressed", isKept);
    });
  }

  function showPage(message, buffers) {
    page = message.page;
    first = message.first;
    pageText.textContent = `page ${page + 1} of ${message.pages}`;
    previousButton.disabled = page === 0;
    nextButton.disabled = page === message.pages - 1;
    part("pages").hidden = message.pages < 2;
    grid.querySelectorAll("img").forEach((picture) => URL.revokeObjectURL(picture.src));
    const tiles = message.captions.map((caption, index) => {
      return makeTile(caption, buffers[index], first + index);
    });
    grid.replaceChildren(...tiles);
    if (tiles.length) {
      tiles[0].tabIndex = 0;
    }
  }

  function makeTile(caption, data, position) {
    const tile = document.createElement("button");
    tile.type = "button";
    tile.tabIndex = -1;   // the Tab key stops once at the grid; arrows move inside it
    tile.title = caption;

    const picture = new Image();
    picture.alt = caption ? "" : `picture ${position + 1}`;
    if (data.byteLength) {
      picture.src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    }
    const text = document.createElement("span");
    text.textContent = caption;
    tile.append(picture, text);

    tile.addEventListener("click", () => {
      const isKept = tile.getAttribute("aria-pressed") !== "true";
      tile.setAttribute("aria-pressed", isKept);
      model.send({ type: "keep", position, kept: isKept });
    });
    return tile;
  }

  // The last focused tile is the one where the Tab key stops.
  function moveTabStop(event) {
    grid.querySelectorAll("[tabindex='0']").forEach((tile) => {
      tile.tabIndex = -1;
    });
    event.target.closest("button").tabIndex = 0;
  }

  function handleKey(event) {
    event.stopPropagation();
    if (event.key === "Escape") {
      document.activeElement.blur();
    }
    const tiles = [...grid.children];
    const index = tiles.indexOf(document.activeElement);
    // The number of columns is the index of the first tile in the second row.
    const second = tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
    const columns = Math.max(1, second);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const step = steps[event.key];
    if (index < 0 || !step) return;
    event.preventDefault();
    tiles[index + step]?.focus();
  }

  previousButton.addEventListener("click", () => requestPage(page - 1));
  nextButton.addEventListener("click", () => requestPage(page + 1));
  grid.addEventListener("focusin", moveTabStop);
  root.addEventListener("keydown", handleKey);
  model.on("msg:custom", receive);
  el.append(root);
  requestPage(page);

  function cleanUp() {
    model.off("msg:custom", receive);
  }
  return cleanUp;
}

export default { render };
