/** Faces as JSON and CSV, in the script's form (utils/cli/records.py). */

const CLASS_NAMES = ["with_mask", "without_mask", "mask_worn_incorrectly", "no_face"];
const HEAD = ["file", "frame", "time_s", "width", "height", "x_min", "y_min", "x_max", "y_max"];
const COLUMNS = [
  ...HEAD,
  "confidence",
  "class_name",
  "probability",
  ...CLASS_NAMES.map((name) => `probability_${name}`),
  "unsure",
];

/** Returns the record of one image. */
export function makeRecord(file, width, height, faces) {
  return { file, width, height, faces: faces.map((face) => makeFace(face, width, height)) };
}

function makeFace(face, width, height) {
  const limits = [width, height, width, height];
  const box = face.box.map((value, index) => Math.round(Math.min(Math.max(value, 0), limits[index])));
  const probabilities = {};
  for (const name of CLASS_NAMES) {
    probabilities[name] = round(face.probabilities[name]);
  }
  return {
    box,
    confidence: round(face.confidence),
    class_name: face.className,
    probability: round(face.probability),
    probabilities,
    unsure: face.unsure,
  };
}

function round(value) {
  return Math.round(value * 10000) / 10000;
}

/** Returns the text of a JSON file. */
export function formatJson(record) {
  return `{"images": [\n${JSON.stringify(record)}\n]}\n`;
}

/** Returns the text of a CSV file: a row for each face. */
export function formatCsv(record) {
  const rows = [COLUMNS];
  for (const face of record.faces) {
    const shares = CLASS_NAMES.map((name) => face.probabilities[name]);
    const unsure = face.unsure ? "True" : "False";
    const place = [record.file, "", "", record.width, record.height, ...face.box];
    rows.push([...place, face.confidence, face.class_name, face.probability, ...shares, unsure]);
  }
  return rows.map((row) => `${row.map(quote).join(",")}\n`).join("");
}

/** Returns a cell, quoted where it must be. No program runs it as a formula. */
function quote(value) {
  let text = String(value);
  if (typeof value === "string" && /^'*[=+\-@\t\r]/.test(text)) {
    text = `'${text}`;
  }
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
