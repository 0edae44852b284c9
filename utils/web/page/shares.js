/** The shares of the classes in live video over the last minutes. */

import { CLASS_COLORS } from "./drawing.js";

const SPAN_S = 180; // seconds that are shown
const STEP_S = 2; // seconds of one point
const NAMES = Object.keys(CLASS_COLORS);

export class Shares {
  constructor() {
    this.points = []; // one for each step with a face: {step, counts by class}
  }

  /** Counts the faces of a frame at a time in seconds. */
  add(faces, time) {
    const step = Math.floor(time / STEP_S);
    let point = this.points.at(-1);
    if (point === undefined || point.step !== step) {
      point = { step, counts: Object.fromEntries(NAMES.map((name) => [name, 0])) };
      this.points.push(point);
    }
    for (const face of faces) {
      point.counts[face.className] += 1;
    }
    this.points = this.points.filter((other) => other.step > step - SPAN_S / STEP_S);
  }

  /** Returns the shares over the whole span, by class, or null without a face. */
  total() {
    const sums = Object.fromEntries(NAMES.map((name) => [name, 0]));
    for (const { counts } of this.points) {
      for (const name of NAMES) {
        sums[name] += counts[name];
      }
    }
    return toShares(sums);
  }

  /** Draws a line for each class; the right end is now. */
  draw(context, time, textColor) {
    const { width, height } = context.canvas;
    const last = Math.floor(time / STEP_S);
    const size = 14;
    const bottom = height - 1.6 * size;
    const left = 3.2 * size;
    context.clearRect(0, 0, width, height);
    context.font = `${size}px system-ui, sans-serif`;
    context.fillStyle = textColor;
    context.fillText("100 %", 0, size);
    context.fillText("0 %", 0, bottom);
    context.fillText(`${SPAN_S / 60} minutes ago`, left, height - 4);
    context.fillText("now", width - 2 * size, height - 4);
    for (const name of NAMES) {
      context.strokeStyle = CLASS_COLORS[name];
      context.lineWidth = 3;
      context.beginPath();
      for (const { step, counts } of this.points) {
        const shares = toShares(counts);
        if (shares !== null) {
          const age = ((last - step) * STEP_S) / SPAN_S;
          const x = width - 2 - age * (width - left);
          const y = bottom - shares[name] * (bottom - 4) + 2;
          context.lineTo(x, y);
        }
      }
      context.stroke();
    }
  }
}

function toShares(counts) {
  const total = NAMES.reduce((sum, name) => sum + counts[name], 0);
  if (total === 0) {
    return null;
  }
  return Object.fromEntries(NAMES.map((name) => [name, counts[name] / total]));
}
