/**
 * Colors of the pictures, computed in OKLCH so that equal steps of loss are equal steps of
 * lightness. Pure. Low loss is deep indigo, high loss pale sand: the basin stands out and the
 * plateau recedes.
 */

/** @import { Colorscale, Theme } from "./types.d.ts" */

/**
 * Chrome of a figure. The same values as in style.css.
 * @type {Record<"light" | "dark", Theme>}
 */
export const THEMES = {
  light: {
    name: "light",
    page: "#faf9f6",
    card: "#ffffff",
    ink: "#1c2024",
    soft: "#5d6770",
    line: "#e4e1da",
    accent: "#2f5bd0",
    warn: "#8f5400",
    lid: "#8d887c",
    relief: "#e3e9ee",
    ambient: 0.72,
    lightness: [0.32, 0.89],
    lines: [0.34, 0.66],
  },
  dark: {
    name: "dark",
    page: "#101317",
    card: "#171b21",
    ink: "#e8eaed",
    soft: "#9aa4af",
    line: "#2f3640",
    accent: "#7aa2ff",
    warn: "#f0b45a",
    lid: "#8b95a1",
    relief: "#c3d0da",
    ambient: 0.62,
    lightness: [0.4, 0.88],
    lines: [0.56, 0.93],
  },
};

/**
 * Lines of several results in one plot; each at least 3:1 on its card.
 * @type {Record<"light" | "dark", string[]>}
 */
export const SERIES = {
  light: ["#2f5bd0", "#b4441f", "#1b7f5c", "#8a3fa8", "#8a6a00", "#0f7c91", "#a3365f", "#4d5a66"],
  dark: ["#7aa2ff", "#ff9a70", "#5fcfa4", "#cf9bee", "#e2c04c", "#5cc9de", "#f58fb4", "#a9b6c2"],
};

/** @type {[number, number][]} */
const HUES = [
  [0, 285],
  [0.3, 250],
  [0.6, 190],
  [0.85, 110],
  [1, 90],
];
/** @type {[number, number][]} */
const CHROMA = [
  [0, 0.15],
  [0.35, 0.125],
  [0.6, 0.1],
  [0.85, 0.105],
  [1, 0.055],
];

/**
 * [[0, "#…"], …, [1, "#…"]] from low to high; `range` are the lightnesses at the ends.
 * @type {(range: [number, number], intervals?: number) => Colorscale}
 */
export function colorscale(range, steps = 16) {
  return Array.from({ length: steps + 1 }, (_, k) => {
    const t = k / steps;
    return [t, oklch(range[0] + t * (range[1] - range[0]), along(CHROMA, t), along(HUES, t))];
  });
}

/**
 * For accuracy high is good: the same colors, so that the center looks alike.
 * @type {(scale: Colorscale) => Colorscale}
 */
export const reversed = (scale) => scale.map(([t], k) => [t, scale[scale.length - 1 - k][1]]);

/**
 * WCAG contrast ratio of two #rrggbb colors.
 * @type {(first: string, second: string) => number}
 */
export function contrast(first, second) {
  const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** @type {(hex: string) => number} */
function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** @type {(stops: [number, number][], t: number) => number} */
function along(stops, t) {
  const k = Math.max(
    1,
    stops.findIndex(([at]) => at >= t),
  );
  const [[t0, a], [t1, b]] = [stops[k - 1], stops[k]];
  return a + ((b - a) * (t - t0)) / (t1 - t0);
}

/**
 * OKLCH to sRGB, out-of-gamut channels clipped. Source: Björn Ottosson, A perceptual color space
 * (2020).
 * @type {(lightness: number, chroma: number, hue: number) => string}
 */
function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return `#${linear.map((c) => byte(gamma(Math.min(1, Math.max(0, c))))).join("")}`;
}

/** @type {(c: number) => number} */
const gamma = (c) => (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);
/** @type {(c: number) => string} */
const byte = (c) =>
  Math.round(c * 255)
    .toString(16)
    .padStart(2, "0");
