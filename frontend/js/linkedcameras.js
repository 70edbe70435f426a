/** Cameras that move together. Part of the effect module drawing.js. */

import { schedule } from "./drawing.js";

/** @import { Camera, CameraGroup, Picture } from "./types.d.ts" */

/**
 * Linked cameras: rotate one plot and the others follow, once a frame.
 * @type {() => CameraGroup}
 */
export function cameraGroup() {
  /** @type {Set<Picture>} */
  const members = new Set();
  /** @type {Camera | null} */
  let camera = null;
  /** @type {Picture | null} */
  let leader = null;
  let frame = 0;
  const follow = () => {
    frame = 0;
    const others = [...members].filter(
      (own) => own !== leader && own.scene && own.plot.classList.contains("js-plotly-plot"),
    );
    for (const { plot } of others) globalThis.Plotly?.relayout(plot, { "scene.camera": camera });
  };
  /** @type {(own: Picture) => (event: { "scene.camera"?: Camera } | undefined) => void} */
  const onMove = (own) => (event) => {
    const fresh = event?.["scene.camera"];
    if (!fresh || same(fresh, camera)) return;
    [camera, leader] = [fresh, own];
    frame ||= requestAnimationFrame(follow);
  };
  return {
    camera: () => camera,
    join: (own) => members.add(own),
    leave: (own) => members.delete(own),
    listen(own) {
      if (own.listening === own.plot._ev) return;
      own.listening = own.plot._ev;
      own.plot.on("plotly_relayouting", onMove(own));
      own.plot.on("plotly_relayout", onMove(own));
    },
    reset() {
      [camera, leader] = [null, null];
      for (const own of members) own.drawn = null;
      schedule();
    },
  };
}

const PARTS = /** @type {const} */ (["eye", "center", "up"]);
const AXES = /** @type {const} */ (["x", "y", "z"]);

/** @type {(a: Camera, b: Camera | null) => boolean} */
const same = (a, b) =>
  b !== null &&
  PARTS.every((part) =>
    AXES.every((k) => Math.abs((a[part]?.[k] ?? 0) - (b[part]?.[k] ?? 0)) < 1e-9),
  );
