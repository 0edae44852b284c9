/**
 * Cuts out and resizes images, as utils.images does with OpenCV.
 *
 * An image is {data, width, height}: four bytes per pixel, RGBA, row by row, like ImageData.
 */

const CHANNELS = 4;

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

function resizeLinearly(image, width, height) {
  if (image.width === width && image.height === height) {
    return image;
  }
  const columns = findNeighbours(image.width, width);
  const rows = findNeighbours(image.height, height);
  const data = new Uint8ClampedArray(width * height * CHANNELS);
  const source = image.data;
  let position = 0;
  for (let y = 0; y < height; y += 1) {
    const upper = rows.first[y] * image.width;
    const lower = rows.second[y] * image.width;
    const down = rows.weight[y];
    for (let x = 0; x < width; x += 1) {
      const left = columns.first[x];
      const right = columns.second[x];
      const across = columns.weight[x];
      const a = (upper + left) * CHANNELS;
      const b = (upper + right) * CHANNELS;
      const c = (lower + left) * CHANNELS;
      const d = (lower + right) * CHANNELS;
      for (let channel = 0; channel < CHANNELS; channel += 1) {
        const above = source[a + channel] + (source[b + channel] - source[a + channel]) * across;
        const below = source[c + channel] + (source[d + channel] - source[c + channel]) * across;
        data[position] = above + (below - above) * down; // a clamped array rounds
        position += 1;
      }
    }
  }
  return { data, width, height };
}

/** Returns the two source pixels of each new pixel along one side, and the weight of the second. */
function findNeighbours(oldLength, newLength) {
  const first = new Int32Array(newLength);
  const second = new Int32Array(newLength);
  const weight = new Float32Array(newLength);
  for (let index = 0; index < newLength; index += 1) {
    const center = ((index + 0.5) * oldLength) / newLength - 0.5;
    const place = Math.min(Math.max(center, 0), oldLength - 1);
    first[index] = Math.floor(place);
    second[index] = Math.min(first[index] + 1, oldLength - 1);
    weight[index] = place - first[index];
  }
  return { first, second, weight };
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
