/** Figures as one PNG, ready for a paper. Part of the effect module drawing.js. */

import { fitCamera } from "./camera.js";
import { plotly } from "./drawing.js";
import { element } from "./element.js";
import { t } from "./text.js";

/** @import { Camera, ColorKey, Export, Make, Plotly, Theme, Write } from "./types.d.ts" */

/**
 * Download a file.
 * @type {(blob: Blob, name: string) => void}
 */
function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Figures in rows and columns as one PNG with title, labels, color key and caption, ready for a
 * paper. `cells[row][column]` is { make, label } or null, `caption` a list of lines, `key` as
 * figures.js describes it or absent, `colors` a theme.
 * @type {(figure: Export, size?: [number, number]) => Promise<void>}
 */
export async function exportPng(
  { title, caption, rows, columns, cells, key = null, colors, camera, name },
  [width, height] = [640, 460],
) {
  const Plotly = await plotly;
  const labelled = columns.some(Boolean) || rows.some(Boolean);
  const lines = caption.flatMap((line) => line || []);
  const own = !labelled && cells.flat().length > 1 ? 32 : 0; // the name of each picture above it
  const [edge, head, foot] = [
    labelled ? 40 : 16,
    labelled ? 92 : 56,
    24 + 22 * lines.length + (key ? 44 : 0),
  ];
  const size = {
    width: edge + columns.length * width + 16,
    height: head + rows.length * (height + own) + foot,
  };
  const canvas = element("canvas");
  Object.assign(canvas, { width: 2 * size.width, height: 2 * size.height });
  const paint = canvas.getContext("2d");
  if (!paint) throw new Error(t("error.image"));
  const family = getComputedStyle(document.body).fontFamily;
  /** @type {Write} */
  const write = (
    text,
    x,
    y,
    { font = "13px", color = colors.soft, align = "left", most = size.width - 32 } = {},
  ) => {
    Object.assign(paint, { font: `${font} ${family}`, fillStyle: color, textAlign: align });
    paint.fillText(text, x, y, most);
  };
  paint.scale(2, 2);
  paint.fillStyle = colors.card;
  paint.fillRect(0, 0, size.width, size.height);
  write(title, 16, 36, { font: "600 22px", color: colors.ink });
  columns.forEach((label, k) =>
    write(label, edge + (k + 0.5) * width, head - 14, { font: "600 16px", align: "center" }),
  );
  for (const [r, row] of cells.entries()) {
    const top = head + r * (height + own) + own;
    paint.save();
    paint.translate(26, top + height / 2);
    paint.rotate(-Math.PI / 2);
    write(rows[r], 0, 0, { font: "600 16px", align: "center" });
    paint.restore();
    for (const [c, cell] of row.entries()) {
      if (!cell) continue;
      if (own)
        write(cell.label ?? "", edge + (c + 0.5) * width, top - 8, {
          font: "600 15px",
          align: "center",
          most: width - 16,
        });
      paint.drawImage(
        await loaded(await pngOf(Plotly, cell.make, [width, height], camera)),
        edge + c * width,
        top,
        width,
        height,
      );
    }
  }
  if (key) paintKey(paint, write, key, colors, [16, size.height - foot + 12]);
  lines.forEach((line, k) => write(line, 16, size.height - 16 - 22 * (lines.length - 1 - k)));
  canvas.toBlob((blob) => blob && download(blob, name), "image/png");
}

/**
 * @type {(Plotly: Plotly, make: Make, size: [number, number], camera: Camera | null |
 *   undefined) => Promise<string>}
 */
async function pngOf(Plotly, make, [width, height], camera) {
  const { data, layout } = make({ width, height });
  if (layout.scene) layout.scene.camera = camera ?? fitCamera(width, height);
  return Plotly.toImage(
    {
      data,
      layout: { ...layout, width, height, autosize: false },
      config: { plotlyServerURL: "" },
    },
    { format: "png", width, height, scale: 2 },
  );
}

/**
 * @type {(paint: CanvasRenderingContext2D, write: Write, key: ColorKey, colors: Theme, at:
 *   [number, number]) => void}
 */
function paintKey(paint, write, { title, stops, ticks, above }, colors, [x, y]) {
  const [start, length] = [x + 70, 260];
  const ramp = paint.createLinearGradient(start, 0, start + length, 0);
  for (const [t, color] of stops) ramp.addColorStop(t, color);
  write(title, x, y + 10, { most: 64 });
  paint.fillStyle = ramp;
  paint.fillRect(start, y, length, 10);
  for (const { at, text } of ticks)
    write(text, start + at * length, y + 26, { font: "12px", align: "center" });
  if (!above) return;
  Object.assign(paint, { fillStyle: colors.lid, globalAlpha: 0.3 });
  paint.fillRect(start + length + 24, y, 16, 10);
  paint.globalAlpha = 1;
  write(above, start + length + 46, y + 10);
}

/** @type {(url: string) => Promise<HTMLImageElement>} */
function loaded(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    Object.assign(image, {
      onload: () => resolve(image),
      onerror: () => reject(new Error(t("error.image"))),
      src: url,
    });
  });
}
