/**
 * Remembers the faces of live video, so that each is classified only when its class may have changed.
 *
 * It chooses as VideoPipeline in utils/video/pipeline.py does; the names of constants are the same
 * there.
 */

const SETTLED = 5; // classifications in a row with the same class after which a face is settled
const EVERY = 5; // one in this many settled faces is classified in a frame, rounded up
// Two boxes of successive frames are the same face if their IoU is above SAME_IOU, and neither of
// them has an IoU above OTHER_IOU with a third box.
const SAME_IOU = 0.6;
const OTHER_IOU = 0.1;

export class KnownFaces {
  constructor() {
    this.last = []; // the faces of the last frame: {box, answer, streak, waited}
  }

  /**
   * Classifies those faces of the next frame that are due.
   *
   * @param {number[][]} boxes left, top, right, bottom of each face.
   * @param {string[]} opinions the detector's class of each face.
   * @param {Function} classify takes the positions of some faces and returns a promise of their
   *   answers: {className, ...}, or null for a box that is no face.
   * @returns {Promise<object[]>} the answer of each face, new or kept; null if it is none.
   */
  async update(boxes, opinions, classify) {
    const faces = this.#recall(boxes);
    const due = listDue(faces, opinions);
    const answers = await classify(due);
    for (const face of faces) {
      face.waited += 1;
    }
    for (const [index, position] of due.entries()) {
      const face = faces[position];
      const isSame = answers[index]?.className === face.answer?.className;
      face.streak = isSame ? face.streak + 1 : 1;
      face.answer = answers[index];
      face.waited = 0;
    }
    this.last = faces.filter((face) => face.answer !== null);
    return faces.map((face) => face.answer);
  }

  /** Returns what the last frame knew about the faces of this one. */
  #recall(boxes) {
    const rows = boxes.map((box) => this.last.map((other) => measureIou(box, other.box)));
    const isNear = (iou) => iou > OTHER_IOU;
    return boxes.map((box, index) => {
      const position = rows[index].findIndex((iou) => iou > SAME_IOU);
      const isSame =
        position >= 0 &&
        rows[index].filter(isNear).length === 1 &&
        rows.filter((row) => isNear(row[position])).length === 1;
      const known = isSame ? this.last[position] : { answer: null, streak: 0, waited: 0 };
      return { ...known, box };
    });
  }
}

/** Returns the positions of the faces that are not settled, and of those that waited longest. */
function listDue(faces, opinions) {
  const isSettled = faces.map(
    (face, index) => face.streak >= SETTLED && face.answer.className === opinions[index],
  );
  const positions = [...faces.keys()];
  const settled = positions.filter((position) => isSettled[position]);
  const count = Math.ceil(settled.length / EVERY);
  settled.sort((a, b) => faces[b].waited - faces[a].waited);
  const longest = new Set(settled.slice(0, count));
  return positions.filter((position) => !isSettled[position] || longest.has(position));
}

function measureIou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) {
    return 0;
  }
  const shared = width * height;
  return shared / (measureArea(a) + measureArea(b) - shared);
}

function measureArea(box) {
  return (box[2] - box[0]) * (box[3] - box[1]);
}
