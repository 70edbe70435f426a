/**
 * A camera that fits the box of a 3-D plot: all eight corners are visible and fill the plot. Pure.
 */

/** @import { Camera, Point } from "./types.d.ts" */

/** @typedef {[number, number, number]} Vector */

/** Plotly's field of view, vertical. */
const FOV = Math.PI / 4;

/** Sides of the box, in Plotly's units. */
export const BOX = { x: 1, y: 1, z: 0.66 };

/** Direction of view, in degrees: azimuth from the alpha axis, elevation above the floor. */
export const DIRECTION = { azimuth: -50, elevation: 35 };

/**
 * Plotly camera that looks along `direction` at a box filling a picture of `width` × `height`
 * pixels. `room` are the pixels left free for tick labels: at each side, above, below.
 * @type {(width: number, height: number, options?: { direction?: { azimuth: number; elevation:
 *   number }; box?: Point; room?: [number, number, number] }) => Camera}
 */
export function fitCamera(
  width,
  height,
  { direction = DIRECTION, box = BOX, room = [30, 6, 26] } = {},
) {
  /** @type {(room: number, side: number) => number} */
  const share = (pixels, side) => Math.min(pixels / (side / 2), 0.4);
  /** @type {Vector} */
  const margin = [share(room[0], width), share(room[1], height), share(room[2], height)];
  const toEye = unit(direction);
  let [near, far] = [0.2, 20];
  for (let k = 0; k < 40; k += 1) {
    const middle = (near + far) / 2;
    if (shiftAt(middle, toEye, box, width / height, margin) === null) near = middle;
    else far = middle;
  }
  const shift = shiftAt(far, toEye, box, width / height, margin) ?? 0;
  const center = screenUp(toEye).map((u) => u * shift);
  const eye = center.map((c, k) => c + toEye[k] * far);
  return { center: point(center), eye: point(eye), up: { x: 0, y: 0, z: 1 } };
}

/**
 * Corners of the box as seen by `camera`: [[x, y], …], the picture being [-1, 1]².
 * @type {(camera: Camera, width: number, height: number, box?: Point) => [number, number][]}
 */
export function project(camera, width, height, box = BOX) {
  const center = [camera.center.x, camera.center.y, camera.center.z];
  const eye = [camera.eye.x, camera.eye.y, camera.eye.z];
  const away = eye.map((e, k) => e - center[k]);
  const distance = Math.hypot(...away);
  const toEye = away.map((a) => a / distance);
  return corners(box).map((corner) => {
    const relative = corner.map((c, k) => c - center[k]);
    const depth = distance - dot(relative, toEye);
    const half = depth * Math.tan(FOV / 2);
    return [
      dot(relative, screenRight(toEye)) / ((half * width) / height),
      dot(relative, screenUp(toEye)) / half,
    ];
  });
}

/**
 * How far up the center must move so that the box fits from `distance`; null where it cannot.
 * @type {(distance: number, toEye: Vector, box: Point, aspect: number, margin: Vector) =>
 *   number | null}
 */
function shiftAt(distance, toEye, box, aspect, [sides, top, bottom]) {
  const slope = Math.tan(FOV / 2);
  let [low, high] = [-Infinity, Infinity];
  for (const corner of corners(box)) {
    const half = (distance - dot(corner, toEye)) * slope;
    if (half <= 0 || Math.abs(dot(corner, screenRight(toEye))) > half * aspect * (1 - sides))
      return null;
    const y = dot(corner, screenUp(toEye));
    low = Math.max(low, y - half * (1 - top));
    high = Math.min(high, y + half * (1 - bottom));
  }
  return low <= high ? (low + high) / 2 : null;
}

/** @type {(box: Point) => Vector[]} */
const corners = ({ x, y, z }) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((k) => [
    (k & 1 ? x : -x) / 2,
    (k & 2 ? y : -y) / 2,
    (k & 4 ? z : -z) / 2,
  ]);
/** @type {(a: number[], b: number[]) => number} */
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
/** @type {(vector: number[]) => Point} */
const point = ([x, y, z]) => ({ x, y, z });

/** @type {(direction: { azimuth: number; elevation: number }) => Vector} */
function unit({ azimuth, elevation }) {
  const [a, e] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
  return [Math.cos(a) * Math.cos(e), Math.sin(a) * Math.cos(e), Math.sin(e)];
}

/** @type {(toEye: number[]) => Vector} */
function screenRight([x, y]) {
  const length = Math.hypot(x, y) || 1;
  return [-y / length, x / length, 0];
}

/**
 * toEye × screenRight: the component of screenRight along z is 0.
 * @type {(toEye: number[]) => Vector}
 */
function screenUp(toEye) {
  const [rx, ry] = screenRight(toEye);
  return [-toEye[2] * ry, toEye[2] * rx, toEye[0] * ry - toEye[1] * rx];
}
