/** Draws boxes, captions and blurred faces, as utils.draw does. */

export const CLASS_COLORS = {
  with_mask: "rgb(0, 158, 115)",
  without_mask: "rgb(213, 94, 0)",
  mask_worn_incorrectly: "rgb(230, 159, 0)",
};
const TEXT_SHARE = 1 / 30; // height of letters, as a share of the image's shorter side
const MIN_TEXT = 11; // pixels
const LINE_SHARE = 1 / 200; // width of a line, as a share of the image's shorter side
const MIN_LINE = 2; // pixels
const BLUR_BLOCKS = 6; // the side of a blurred face in flat squares
const BLUR_MARGIN = 0.15; // of a face's width and height

/** Returns the caption of a face: "with_mask 97 %", with "?" if it is unsure. */
export function formatCaption(face) {
  return `${face.className} ${formatPercent(face.probability)}${face.unsure ? "?" : ""}`;
}

/** Returns a share in percent, never 100 %: no model is certain. */
export function formatPercent(share) {
  return `${Math.min(99, Math.round(100 * share))} %`;
}

/** Draws the box and the caption of each face; the most confident face is on top. */
export function drawFaces(context, faces) {
  const { width, height } = context.canvas;
  const shorter = Math.min(width, height);
  const size = Math.max(MIN_TEXT, Math.round(shorter * TEXT_SHARE));
  const line = Math.max(MIN_LINE, Math.round(shorter * LINE_SHARE));
  context.font = `500 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const face of faces.slice().reverse()) {
    const [left, top, right, bottom] = face.box;
    context.strokeStyle = CLASS_COLORS[face.className];
    context.lineWidth = line;
    context.strokeRect(left, top, right - left, bottom - top);
  }
  const taken = [];
  for (const face of faces) {
    const caption = placeCaption(context, face, size, faces, taken);
    if (caption !== null) {
      taken.push(caption.box);
      const [left, top, right, bottom] = caption.box;
      context.fillStyle = CLASS_COLORS[face.className];
      context.fillRect(left, top, right - left, bottom - top);
      context.fillStyle = "black";
      context.fillText(caption.text, left + size / 4, (top + bottom) / 2);
    }
  }
}

/** Returns a text and a place that covers no other face or caption, or null if there is none. */
function placeCaption(context, face, size, faces, taken) {
  const { width, height } = context.canvas;
  const [left, top, , bottom] = face.box;
  const textHeight = Math.round(1.4 * size);
  const others = faces.filter((other) => other !== face).map((other) => other.box);
  for (const text of [formatCaption(face), face.className]) {
    const textWidth = Math.ceil(context.measureText(text).width) + size / 2;
    const x = Math.max(0, Math.min(left, width - textWidth));
    for (const y of [top - textHeight, bottom, top]) {
      const box = [x, y, x + textWidth, y + textHeight];
      const isInside = y >= 0 && y + textHeight <= height && textWidth <= width;
      if (isInside && ![...others, ...taken].some((other) => overlaps(box, other))) {
        return { text, box };
      }
    }
  }
  return null;
}

function overlaps(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/** Reduces faces and a margin around them to a few flat squares. */
export function blurFaces(context, faces) {
  const { canvas } = context;
  const blocks = new OffscreenCanvas(BLUR_BLOCKS, BLUR_BLOCKS);
  const small = blocks.getContext("2d");
  small.imageSmoothingQuality = "high";
  for (const { box } of faces) {
    const marginX = BLUR_MARGIN * (box[2] - box[0]);
    const marginY = BLUR_MARGIN * (box[3] - box[1]);
    const left = Math.round(Math.max(0, box[0] - marginX));
    const top = Math.round(Math.max(0, box[1] - marginY));
    const width = Math.round(Math.min(canvas.width, box[2] + marginX)) - left;
    const height = Math.round(Math.min(canvas.height, box[3] + marginY)) - top;
    if (width < 1 || height < 1) {
      continue;
    }
    small.drawImage(canvas, left, top, width, height, 0, 0, BLUR_BLOCKS, BLUR_BLOCKS);
    context.imageSmoothingEnabled = false;
    context.drawImage(blocks, 0, 0, BLUR_BLOCKS, BLUR_BLOCKS, left, top, width, height);
    context.imageSmoothingEnabled = true;
  }
}
