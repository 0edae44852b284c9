/** Pictures as canvases: from files and video to pixels, and back into files. */

export const NO_MEMORY = "This browser has not enough memory for the picture: reduce it first.";
const MAX_MEGAPIXELS = 100; // of a picture, so that its copies fit into the memory of a tab
const KEEP_MS = 60_000; // until the memory of a saved file is freed: some browsers ask first

/** Returns a picture on a canvas, upright, on white where it is transparent. */
export async function readPicture(file, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(
      `${name} cannot be read as a picture: choose a JPEG, PNG or WebP file that is neither damaged nor huge.`,
    );
  }
  const megapixels = (bitmap.width * bitmap.height) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) {
    bitmap.close();
    throw new Error(
      `${name} has ${Math.ceil(megapixels)} megapixels: reduce it to ${MAX_MEGAPIXELS} or fewer.`,
    );
  }
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  // A canvas that is too large for a browser stays empty, without an error.
  if (readPixels(canvas, 1, 1).data[3] === 0) {
    bitmap.close();
    throw new Error(NO_MEMORY);
  }
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/** Returns the frame that a video shows, on a canvas. */
export function grabFrame(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0);
  return canvas;
}

/** Returns the pixels of the upper left part of a canvas. */
export function readPixels(canvas, width, height) {
  try {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    return context.getImageData(0, 0, width, height);
  } catch {
    throw new Error(NO_MEMORY);
  }
}

/** Saves a file, as a download. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}
