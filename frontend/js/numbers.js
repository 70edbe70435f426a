/**
 * Numbers as the page's language writes them: its decimal separator and digits. Groups of digits
 * are separated by a thin space in every language, as the SI has it, and minus is a minus sign.
 * Pure.
 */

import { language } from "./language.js";

/** Between groups of digits, and before a unit: a narrow space where no line is broken. */
export const THIN = "\u202f";

/** @type {Partial<Record<Intl.NumberFormatPartTypes, string>>} */
const OWN_SIGNS = { group: THIN, minusSign: "−" };

/** @type {(value: number, options: Intl.NumberFormatOptions) => string} */
const written = (value, options) =>
  new Intl.NumberFormat(language, options)
    .formatToParts(value)
    .map(({ type, value: text }) => OWN_SIGNS[type] ?? text)
    .join("");

/** The sign between units and tenths. */
export const DECIMAL =
  new Intl.NumberFormat(language).formatToParts(0.5).find(({ type }) => type === "decimal")
    ?.value ?? ".";

/**
 * A number with four significant digits: 0.0002131, 12.35, 1.2e-7 as 1.2 × 10⁻⁷. A dash where there
 * is none.
 * @type {(value: number | null | undefined, figures?: number) => string}
 */
export function number(value, figures = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return scientific(value, Math.min(figures, 3));
  return significant(value, figures);
}

/** @type {(value: number, figures: number) => string} */
const significant = (value, figures) =>
  written(value, { maximumSignificantDigits: figures, useGrouping: false });

/** @type {(value: number, figures: number) => string} */
function scientific(value, figures) {
  const [mantissa, exponent] = value.toExponential(figures - 1).split("e");
  const power = superscript(String(Number(exponent)));
  return `${significant(Number(mantissa), figures)}${THIN}×${THIN}10${power}`;
}

/** @type {(digits: string) => string} */
const superscript = (digits) =>
  digits.replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]));

/**
 * 0.9867 as 98.67 %.
 * @type {(share: number | null | undefined, digits?: number) => string}
 */
export const percent = (share, digits = 2) =>
  share === null || share === undefined
    ? "–"
    : `${written(100 * share, { maximumFractionDigits: digits, useGrouping: false })}${THIN}%`;

/**
 * 2601 as 2 601.
 * @type {(count: number) => string}
 */
export const whole = (count) => written(count, { maximumFractionDigits: 0, useGrouping: "always" });

/**
 * 3.9 million; exact below a million.
 * @type {(count: number) => string}
 */
export const large = (count) =>
  count < 1e6
    ? whole(count)
    : written(count, {
        notation: "compact",
        compactDisplay: "long",
        maximumSignificantDigits: 3,
      });

/**
 * 214 kB, in powers of a thousand.
 * @type {(count: number) => string}
 */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const k = count < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(count) / 3));
  return `${significant(count / 1000 ** k, 3)}${THIN}${units[k]}`;
}

/**
 * Seconds as 8 s, 2 min 5 s, 3 h 20 min.
 * @type {(seconds: number | null | undefined) => string}
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
  if (all < 60) return `${all}${THIN}s`;
  if (hours) return `${whole(hours)}${THIN}h ${minutes}${THIN}min`;
  return `${minutes}${THIN}min${all % 60 ? ` ${all % 60}${THIN}s` : ""}`;
}

/**
 * [−1, 1]; with a decimal comma, [−0,5; 1].
 * @type {(axis: { min: number; max: number }) => string}
 */
export const range = ({ min, max }) =>
  `[${number(min, 6)}${DECIMAL === "," ? ";" : ","} ${number(max, 6)}]`;
