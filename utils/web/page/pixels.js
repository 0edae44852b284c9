/**
 * Cuts out and resizes images, as utils.images does with OpenCV.
 *
 * An image is {data, width, height}: four bytes per pixel, RGBA, row by row, like ImageData.
 */

const CHANNELS = 4;
const WEIGHT_ONE = 2048; // the whole weight of a pixel, as in OpenCV

/**
 * Returns the pixels of one box. Outside the image its edge repeats.
 *
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image
 * @param {number[]} box left, top, right, bottom in whole pixels; right and bottom are excluded.
 */
export function cropImage(image, box) {
  const [left, top] = box;
  const width = Math.max(1, box[2] - left);
  const height = Math.max(1, box[3] - top);
  const isWhole = left === 0 && top === 0 && width === image.width && height === image.height;
  if (isWhole) {
    return image;
  }
  const source = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const data = new Uint8ClampedArray(width * height * CHANNELS);
  const target = new Uint32Array(data.buffer);
  for (let y = 0; y < height; y += 1) {
    const row = Math.min(Math.max(top + y, 0), image.height - 1) * image.width;
    for (let x = 0; x < width; x += 1) {
      const column = Math.min(Math.max(left + x, 0), image.width - 1);
      target[y * width + x] = source[row + column];
    }
  }
  return { data, width, height };
}

/**
 * Resizes an image without aliasing: it is halved while it is at least twice too large, then resized
 * linearly.
 */
export function resizeImage(image, width, height) {
  let resized = image;
  while (resized.width >= 2 * width && resized.height >= 2 * height) {
    resized = resizeLinearly(resized, resized.width >> 1, resized.height >> 1);
  }
  return resizeLinearly(resized, width, height);
}

/**
 * Resizes an image linearly, to the same bytes as cv2.resize.
 *
 * OpenCV computes with whole numbers: weights are multiples of 1 / WEIGHT_ONE, and sums of rows are
 * cut before they are rounded. The 8-bit networks are sensitive, so this does the same.
 */
function resizeLinearly(image, width, height) {
  if (image.width === width && image.height === height) {
    return image;
  }
  const columns = findNeighbours(image.width, width);
  const rows = findNeighbours(image.height, height);
  const data = new Uint8ClampedArray(width * height * CHANNELS);
  let above = new Int32Array(width * CHANNELS);
  let below = new Int32Array(width * CHANNELS);
  let aboveRow = -1;
  let belowRow = -1;
  for (let y = 0; y < height; y += 1) {
    if (rows.first[y] === belowRow) {
      [above, below] = [below, above];
      [aboveRow, belowRow] = [belowRow, aboveRow];
    }
    if (aboveRow !== rows.first[y]) {
      aboveRow = rows.first[y];
      resizeRow(image, aboveRow, columns, above);
    }
    if (belowRow !== rows.second[y]) {
      belowRow = rows.second[y];
      resizeRow(image, belowRow, columns, below);
    }
    const upper = rows.firstWeight[y];
    const lower = rows.secondWeight[y];
    const start = y * width * CHANNELS;
    for (let index = 0; index < width * CHANNELS; index += 1) {
      const sum = ((upper * (above[index] >> 4)) >> 16) + ((lower * (below[index] >> 4)) >> 16);
      data[start + index] = (sum + 2) >> 2;
    }
  }
  return { data, width, height };
}

/** Writes one row of an image, resized, times WEIGHT_ONE. */
function resizeRow(image, row, columns, target) {
  const source = image.data;
  const start = row * image.width;
  const width = columns.first.length;
  for (let x = 0; x < width; x += 1) {
    const left = (start + columns.first[x]) * CHANNELS;
    const right = (start + columns.second[x]) * CHANNELS;
    const leftWeight = columns.firstWeight[x];
    const rightWeight = columns.secondWeight[x];
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      target[x * CHANNELS + channel] =
        source[left + channel] * leftWeight + source[right + channel] * rightWeight;
    }
  }
}

/** Returns the two source pixels of each new pixel along one side, and their weights. */
function findNeighbours(oldLength, newLength) {
  const first = new Int32Array(newLength);
  const second = new Int32Array(newLength);
  const firstWeight = new Int32Array(newLength);
  const secondWeight = new Int32Array(newLength);
  const scale = 1 / (newLength / oldLength);
  for (let index = 0; index < newLength; index += 1) {
    const place = Math.fround((index + 0.5) * scale - 0.5);
    let pixel = Math.floor(place);
    let rest = Math.fround(place - pixel);
    if (pixel < 0 || pixel >= oldLength - 1) {
      pixel = Math.min(Math.max(pixel, 0), oldLength - 1);
      rest = 0;
    }
    first[index] = pixel;
    second[index] = Math.min(pixel + 1, oldLength - 1);
    firstWeight[index] = roundHalfEven(Math.fround(1 - rest) * WEIGHT_ONE);
    secondWeight[index] = roundHalfEven(rest * WEIGHT_ONE);
  }
  return { first, second, firstWeight, secondWeight };
}

/**
 * Writes an image as floating-point RGB into a larger array.
 *
 * @param {Float32Array} target RGB, row by row.
 * @param {number} targetWidth pixels in a row of the target.
 * @param {number} offset position of the image's first pixel, in pixels.
 */
export function copyRgb(image, target, targetWidth, offset = 0) {
  for (let y = 0; y < image.height; y += 1) {
    let to = (offset + y * targetWidth) * 3;
    let from = y * image.width * CHANNELS;
    for (let x = 0; x < image.width; x += 1) {
      target[to] = image.data[from];
      target[to + 1] = image.data[from + 1];
      target[to + 2] = image.data[from + 2];
      to += 3;
      from += CHANNELS;
    }
  }
}

/** Rounds to the nearest whole number and halves to the even one, as Python does. */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) {
    return floor % 2 === 0 ? floor : floor + 1;
  }
  return rest < 0.5 ? floor : floor + 1;
}
