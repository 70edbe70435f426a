import assert from "node:assert/strict";
import { test } from "node:test";
import { readFileSync } from "node:fs";
import { SERIES, THEMES, colorscale, contrast, reversed } from "../../frontend/js/colors.js";

test("contrast is WCAG's: 21 for black on white, 4.54 for #767676 on white", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(contrast("#767676", "#ffffff").toFixed(2), "4.54"); // WCAG 2.1, understanding 1.4.3
});

test("lines of equal loss have contrast on their card: the darkest in the dark theme, the lightest in the light one", () => {
  for (const theme of Object.values(THEMES)) {
    for (const [, color] of colorscale(theme.lines))
      assert.ok(contrast(color, theme.card) >= 3, `${theme.name}: ${color}`);
    for (const color of SERIES[theme.name])
      assert.ok(contrast(color, theme.card) >= 3, `${theme.name}: ${color}`);
  }
});

test("text is readable: 4.5 to 1 on page and card", () => {
  for (const theme of Object.values(THEMES)) {
    for (const color of [theme.ink, theme.soft, theme.warn])
      for (const ground of [theme.page, theme.card])
        assert.ok(contrast(color, ground) >= 4.5, `${theme.name}: ${color} on ${ground}`);
  }
});

test("lightness increases monotonically with the loss", () => {
  for (const theme of Object.values(THEMES)) {
    const grays = colorscale(theme.lightness).map(([, color]) => contrast(color, "#000000"));
    grays.slice(1).forEach((gray, k) => assert.ok(gray > grays[k]));
  }
});

test("the scale runs from 0 to 1, and is reversed for accuracy", () => {
  const scale = colorscale([0.3, 0.9], 4);
  assert.deepEqual(
    scale.map(([t]) => t),
    [0, 0.25, 0.5, 0.75, 1],
  );
  assert.deepEqual(
    reversed(scale).map(([, color]) => color),
    scale.map(([, color]) => color).toReversed(),
  );
});

test("figures and page use the same colors", () => {
  const style = readFileSync(new URL("../../frontend/style.css", import.meta.url), "utf8");
  const blocks = {
    light: /:root \{([^}]*)\}/.exec(style)[1],
    dark: /:root\[data-theme="dark"\] \{([^}]*)\}/.exec(style)[1],
  };
  for (const theme of Object.values(THEMES))
    for (const name of ["page", "card", "ink", "soft", "accent", "warn"])
      assert.match(blocks[theme.name], new RegExp(`--${name}: ${theme[name]};`));
});
