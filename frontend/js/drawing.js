/**
 * Drawing: Plotly plots and their cameras; png.js exports them. An effect module.
 *
 * A plot is drawn when it is visible and has changed, one plot per frame and a few times a second
 * at most. Plots that are scrolled away release their WebGL context; browsers allow sixteen and we
 * use eight.
 */

import { fitCamera } from "./camera.js";
import { element, setChildren } from "./element.js";
import { language } from "./language.js";
import { messageOf } from "./network.js";
import { t } from "./text.js";

/** @import { CameraGroup, Make, Picture, PlotNode, Plotly } from "./types.d.ts" */

/** WebGL scenes alive at once. */
export const MAX_SCENES = 8;

/** Plotly's names of the buttons on a plot, in the language of the page. */
const BUTTONS = {
  Zoom: t("plotly.zoom"),
  "Zoom in": t("plotly.zoomIn"),
  "Zoom out": t("plotly.zoomOut"),
  Pan: t("plotly.pan"),
  "Orbital rotation": t("plotly.rotate"),
  "Reset axes": t("plotly.reset"),
  "Reset camera to default": t("plotly.resetCamera"),
};

const CONFIG = {
  responsive: true,
  displaylogo: false,
  plotlyServerURL: "",
  displayModeBar: "hover",
  scrollZoom: false,
  doubleClick: "reset",
  showTips: false,
  locale: language,
  locales: { [language]: { dictionary: BUTTONS, format: {} } },
  modeBarButtonsToRemove: [
    "sendChartToCloud",
    "sendDataToCloud",
    "editInChartStudio",
    "toImage",
    "lasso2d",
    "select2d",
    "tableRotation",
    "resetCameraLastSave3d",
    "hoverClosest3d",
    "autoScale2d",
  ],
};

/**
 * Resolves to Plotly once its script is there; rejects where it cannot be loaded.
 * @type {Promise<Plotly>}
 */
export const plotly = new Promise((resolve, reject) => {
  const take = () => {
    if (globalThis.Plotly) resolve(globalThis.Plotly);
    return Boolean(globalThis.Plotly);
  };
  if (take()) return;
  const script = document.getElementById("plotly");
  script?.addEventListener("load", take);
  script?.addEventListener("error", () => reject(new Error(t("error.plotly"))));
});
plotly.catch(() => {}); // every plot shows the error

/** Touch screens: a bar of small buttons would be in the way of swiping and rotating. */
const handheld = matchMedia("(max-width: 719px), (pointer: coarse)");

/** @type {Set<Picture>} */
const pictures = new Set();

let frame = 0;

/**
 * A place for a plot inside `host`. `show(make, key)` asks for a figure: `make({ width, height })`
 * returns { data, layout } and is called only when it is drawn; an equal `key` draws nothing.
 * Options: `cameras` (a cameraGroup), `pause` (ms between draws), `bar` (mode bar), `label`.
 * `ranges()` are those of the axes of a plot in 2-D.
 * @type {(host: Element, options?: { cameras?: CameraGroup | null; pause?: number; bar?:
 *   boolean; label?: string }) => { plot: HTMLElement; show(make: Make, key: string): void;
 *   ranges(): number[][] | null; describe(text: string): void; stop(): void }}
 */
export function picture(host, { cameras = null, pause = 250, bar = true, label = "" } = {}) {
  const plot = /** @type {PlotNode} */ (
    element("div", { class: "plot", role: "figure", "aria-label": label })
  );
  host.append(plot);
  /** @type {Picture} */
  const self = {
    plot,
    cameras,
    pause,
    bar,
    make: null,
    key: null,
    drawn: null,
    size: "",
    at: 0,
    visible: false,
    scene: false,
    listening: null,
  };
  const look = new IntersectionObserver(
    ([{ isIntersecting }]) => {
      self.visible = isIntersecting;
      schedule();
    },
    { rootMargin: "80px" },
  );
  look.observe(plot);
  const measure = new ResizeObserver(schedule);
  measure.observe(plot);
  pictures.add(self);
  cameras?.join(self);
  return {
    plot,
    show(make, key) {
      Object.assign(self, { make, key });
      schedule();
    },
    ranges() {
      const { xaxis, yaxis, scene } = plot._fullLayout ?? {};
      return scene || !xaxis?.range || !yaxis?.range ? null : [xaxis.range, yaxis.range];
    },
    describe: (text) =>
      plot.getAttribute("aria-label") !== text && plot.setAttribute("aria-label", text),
    stop() {
      look.disconnect();
      measure.disconnect();
      pictures.delete(self);
      cameras?.leave(self);
      release(self);
    },
  };
}

export function schedule() {
  frame ||= requestAnimationFrame(drawNext);
}

/** Draw the plot that has waited longest; the others follow on the next frames. */
async function drawNext() {
  const now = performance.now();
  const waiting = [...pictures].filter((own) => own.visible && own.make && stale(own));
  const due = waiting
    .filter((own) => now - own.at >= own.pause || own.drawn === null)
    .sort((a, b) => a.at - b.at);
  if (due.length) await draw(due[0]);
  frame = 0;
  if (due.length > 1) schedule();
  else if (waiting.length) setTimeout(schedule, 60);
}

/** @type {(picture: Picture) => string} */
const sizeOf = ({ plot }) => `${plot.clientWidth}×${plot.clientHeight}`;

/** @type {(own: Picture) => boolean} */
const stale = (own) => own.drawn !== own.key || own.size !== sizeOf(own);

/** @type {(own: Picture) => Promise<void>} */
async function draw(own) {
  const { plot, key, make, cameras } = own;
  if (!make || key === null) return;
  own.at = performance.now();
  own.size = sizeOf(own);
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  own.drawn = key;
  if (!width || !height) return;
  try {
    const Plotly = await plotly;
    const paint = () => {
      const { data, layout } = make({ width, height });
      if (layout.scene) layout.scene.camera = cameras?.camera() ?? fitCamera(width, height);
      return {
        data,
        layout: { ...layout, width, height, autosize: false },
        config: {
          ...CONFIG,
          displayModeBar: own.bar && !handheld.matches ? "hover" : false,
          plotGlPixelRatio: pixelRatio(),
        },
      };
    };
    const figure = paint();
    const scene = Boolean(figure.layout.scene);
    if (scene && !own.scene) makeRoom(own);
    if (own.scene && !scene) release(own);
    Object.assign(own, { scene, drawn: key });
    if (!pictures.has(own)) return;
    await Plotly.react(plot, figure);
    if (pictures.has(own) && scene && asMeasured(plot)) await Plotly.react(plot, paint());
    if (!pictures.has(own)) return release(own);
    plot.dataset.drawn = key;
    if (scene) cameras?.listen(own);
  } catch (error) {
    setChildren(
      plot,
      element("p", { class: "empty" }, t("error.plot", { reason: messageOf(error) })),
    );
  }
}

/**
 * Release contexts until one more fits: of the plots that are not visible, those drawn longest ago.
 * @type {(newcomer: Picture) => void}
 */
function makeRoom(newcomer) {
  const scenes = [...pictures].filter((own) => own.scene && own !== newcomer);
  const away = scenes.filter((own) => !own.visible).sort((a, b) => a.at - b.at);
  for (const own of away.slice(0, Math.max(0, scenes.length + 1 - MAX_SCENES))) release(own);
}

/**
 * Take a plot down, and its WebGL context with it (waiting for the garbage collector would run into
 * the browser's limit).
 * @type {(own: Picture) => void}
 */
function release(own) {
  /** @type {NodeListOf<HTMLCanvasElement>} */
  const canvases = own.plot.querySelectorAll(".gl-container canvas");
  if (own.plot.classList.contains("js-plotly-plot")) globalThis.Plotly?.purge(own.plot);
  for (const canvas of canvases) {
    const context = canvas.getContext("webgl2") ?? canvas.getContext("webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  own.plot.replaceChildren();
  delete own.plot.dataset.drawn;
  Object.assign(own, { scene: false, drawn: null, listening: null });
}

/**
 * With software rendering (no graphics card), fewer pixels keep the page responsive.
 * @type {number | null}
 */
let ratio = null;

function pixelRatio() {
  if (ratio !== null) return ratio;
  const gl = document.createElement("canvas").getContext("webgl");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl
    ? String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER))
    : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  ratio = /swiftshader|llvmpipe|software/i.test(renderer) ? Math.max(1.5, devicePixelRatio) : 2;
  return ratio;
}

/**
 * Draw surfaces from their own points. Plotly subdivides the cells of a small grid up to 250 × 250,
 * which shows every cell as a facet and costs 400 000 triangles: rotating one took 450 ms a frame
 * with software rendering; 25 × 25 points as they are take under 50 ms and look smoother. There is
 * no option for it, so this changes Plotly's internals; where those have changed, nothing happens.
 * True where it was just applied.
 * @type {(plot: PlotNode) => boolean}
 */
function asMeasured(plot) {
  const surface = Object.values(plot._fullLayout?.scene?._scene?.traces ?? {}).find(
    ({ refineData }) => refineData === true,
  );
  if (!surface) return false;
  Object.defineProperty(Object.getPrototypeOf(surface), "refineData", {
    get: () => false,
    set() {},
  });
  delete surface.refineData;
  surface.dataScaleX = surface.dataScaleY = 1;
  return true;
}

/** @type {(text: string) => Promise<void>} */
export async function copy(text) {
  await navigator.clipboard.writeText(text);
}
