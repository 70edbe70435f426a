/** Types that the page's modules pass to each other; those of the API are in api.d.ts. */

import type {
  Axis,
  Checkpoint,
  Dataset,
  Grid,
  Job,
  JobState,
  Kind,
  Matrix,
  Progress,
  Result,
  Tile,
} from "./api.d.ts";

export type * from "./api.d.ts";

// ---- the catalogue of strings

type English = (typeof import("./strings/en.js"))["default"];
export type Key = keyof English;
export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
/** The strings of a language. */
export type Catalogue = Record<Key, string | Plural>;

/** The names in braces of a text: "a" | "b" of "{a} of {b}". */
type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;
/** The keys of strings without values. */
export type PlainKey = { [K in Key]: [NamesOf<K>] extends [never] ? K : never }[Key];
type TextOf<Entry> = Entry extends string ? Entry : Extract<Entry[keyof Entry], string>;
type NamesOf<K extends Key> = Names<TextOf<English[K]>>;
/** What t() takes after the key: nothing, or a value for every name; `count` is a number where it makes a plural. */
export type Arguments<K extends Key, Value> = [NamesOf<K>] extends [never]
  ? []
  : [
      {
        [Name in NamesOf<K>]: Name extends "count"
          ? English[K] extends string
            ? Value
            : number
          : Value;
      },
    ];

// ---- the page

export interface Route {
  name: string;
  path: string;
  /** of the job or the link; empty where the view has none */
  id: string;
  query: Query;
}
export type Query = Record<string, string | undefined>;

/** What a view gets: its URL, and a signal that aborts when it is left. */
export interface ViewContext {
  route: Route;
  signal: AbortSignal;
}
export interface View {
  title: string;
  node: Node;
}

export interface Store<T> {
  get(): T;
  set(next: T | ((old: T) => T)): void;
  /** Calls `listener` on every change until `signal` aborts. */
  subscribe(listener: (value: T) => unknown, signal?: AbortSignal): void;
}

export interface Connection {
  online: boolean;
  /** milliseconds */
  retryAt: number | null;
}

export interface Upload {
  key: string;
  file: File | null;
  name: string;
  size: number;
  sent: number;
  /** bytes a second */
  speed: number | null;
  state: "waiting" | "sending" | "interrupted" | "paused" | "sent" | "failed";
  error: string | null;
  /** whether it is a data set */
  data: boolean;
  checkpoint: Checkpoint | null;
  dataset: Dataset | null;
}

/** What is known of a job that is followed. */
export interface Entry {
  job: Job | null;
  result: Result | null;
  error: ApiError | null;
}
export interface ApiError extends Error {
  code: string;
  field: string | null;
  status: number;
}

/** Children of element(): null, undefined, false and "" are skipped. */
export type Child = Node | string | number | null | undefined | false | Child[];

/** Attributes, properties and listeners of element(). */
export type Properties = {
  [Name in keyof GlobalEventHandlersEventMap as `on${Name}`]?: (
    event: GlobalEventHandlersEventMap[Name],
  ) => unknown;
} & { style?: Record<string, string> } & { [attribute: string]: unknown };

/** What a row of the library shows; `surface` is the id of a job on that checkpoint. */
export interface CheckpointItem {
  key: string;
  checkpoint: Checkpoint;
  surface?: string;
}
export interface DatasetItem {
  key: string;
  dataset: Dataset;
}

/** A row of keyedList(). */
export interface Row<Item> {
  node: Element;
  update(item: Item): void;
  stop?(): void;
}

/** A line for an error or a notice; no text hides it. */
export interface Notice {
  node: HTMLElement;
  say(text: string | null): void;
}
export interface Badge {
  node: HTMLElement;
  update(state: string, words?: string): void;
}
export interface ProgressBar {
  node: HTMLElement;
  update(share: number, words?: string): void;
}

// ---- plots

export type ViewName = "surface" | "contour" | "heatmap";
export type Height = "linear" | "log" | "paper";

/** The choices of a plot, which are in the URL. */
export interface Chosen {
  view: ViewName;
  height: Height;
  value: string;
}

/** The rows and columns of a result that are drawn; `seen` points of the next level have arrived. */
export interface SubGrid extends Result {
  rows: number[];
  columns: number[];
}
export interface Part extends SubGrid {
  level: number;
  seen: number;
}

export interface Ticks {
  values: number[];
  text: string[];
}
export interface Levels {
  start: number;
  end: number;
  size: number;
}
export interface Contours extends Levels {
  says: string;
  /** a value as the number that the contours are drawn in */
  on?: (value: number) => number;
}

/** A vertical scale; see scales.js. */
export interface Scale {
  value: string;
  of(result: Result): Matrix;
  height: Height;
  title: string;
  forward(value: number): number;
  low: number;
  high: number;
  clip: number | null;
  least: number;
  most: number;
  /** high is good */
  backwards?: boolean;
  ticks: Ticks;
  relief: Levels;
  contours: Contours & { ticks: Ticks };
}

/** Position from 0 to 1, and its color. */
export type Colorscale = [number, string][];

export interface Theme {
  name: "light" | "dark";
  page: string;
  card: string;
  ink: string;
  soft: string;
  line: string;
  accent: string;
  warn: string;
  lid: string;
  relief: string;
  ambient: number;
  lightness: [number, number];
  lines: [number, number];
}

export interface ColorKey {
  title: string;
  stops: Colorscale;
  ticks: { at: number; text: string }[];
  above: string | null;
}

export interface Point {
  x: number;
  y: number;
  z: number;
}
export interface Camera {
  center: Point;
  eye: Point;
  up: Point;
}

/** A trace of Plotly, which has several hundred attributes. */
export type Trace = Record<string, unknown>;
export interface Layout {
  scene?: { camera?: Camera | null; [attribute: string]: unknown };
  [attribute: string]: unknown;
}
export interface Figure {
  data: Trace[];
  layout: Layout;
}
export interface Size {
  width: number;
  height: number;
}
/** A figure for a place of this size. */
export type Make = (size: Size) => Figure;

export interface FigureOptions {
  scale: Scale;
  theme: Theme;
  camera?: Camera | null;
  /** for plots in rows and columns */
  compact?: boolean;
  labels?: boolean;
}

/** The parts of Plotly that the page calls. */
export interface Plotly {
  react(plot: HTMLElement, figure: Figure & { config: object }): Promise<unknown>;
  relayout(plot: HTMLElement, change: object): Promise<unknown>;
  purge(plot: HTMLElement): void;
  toImage(figure: Figure & { config: object }, options: object): Promise<string>;
}
/** A node that Plotly has drawn in. */
export type PlotNode = HTMLDivElement & {
  on(name: string, listener: (event: { "scene.camera"?: Camera } | undefined) => void): void;
  /** its event emitter, replaced whenever the plot is purged */
  _ev?: unknown;
  _fullLayout?: {
    xaxis?: { range?: number[] };
    yaxis?: { range?: number[] };
    scene?: { _scene?: { traces?: Record<string, SurfaceTrace> } };
  };
};
export interface SurfaceTrace {
  refineData?: unknown;
  dataScaleX: number;
  dataScaleY: number;
}

export interface Picture {
  plot: PlotNode;
  cameras: CameraGroup | null;
  /** milliseconds between draws */
  pause: number;
  /** whether it has a bar of buttons */
  bar: boolean;
  make: Make | null;
  /** of what is to be drawn */
  key: string | null;
  /** the key of what is drawn */
  drawn: string | null;
  size: string;
  /** when it was drawn, in milliseconds */
  at: number;
  visible: boolean;
  /** whether it holds a WebGL context */
  scene: boolean;
  /** the event emitter that is listened to */
  listening: unknown;
}

export interface CameraGroup {
  camera: () => Camera | null;
  join: (own: Picture) => void;
  leave: (own: Picture) => void;
  listen: (own: Picture) => void;
  /** back to the camera that fits the box */
  reset: () => void;
}

export interface Export {
  title: string;
  /** lines */
  caption: (string | null)[];
  rows: string[];
  columns: string[];
  cells: ({ make: Make; label?: string } | null)[][];
  key?: ColorKey | null;
  colors: Theme;
  camera?: Camera | null;
  /** of the file */
  name: string;
}

export type WriteOptions = {
  font?: string;
  color?: string;
  align?: CanvasTextAlign;
  most?: number;
};

export type Write = (text: string, x: number, y: number, options?: WriteOptions) => void;

export interface MatrixOptions {
  rows: string[];
  columns: string[];
  cells: (CellOptions | null)[][];
  chosen: Chosen;
  testid: string;
  signal: AbortSignal;
  onRetry?: (id: string) => unknown;
  /** milliseconds between draws */
  pause?: number;
}

export interface CellOptions {
  /** of the job; null where it does not exist yet */
  id: string | null;
  label: string;
  /** what is shown above the plot; the loss at the center if not given */
  facts?: (() => Child) | null;
}

export interface Cell {
  id: string | null;
  label: string;
  node: HTMLElement;
  make: Make | null;
  entry: Entry;
  stop: () => void;
  change: (entry: Entry) => void;
  draw: (part: Part | null, scale: Scale, colors: Theme, view: ViewName) => void;
}

export interface Handlers {
  progress: (event: Progress & { job: string; state: JobState }) => void;
  tile: (event: Tile & { job: string }) => void;
  state: (event: { job: string; state: JobState }) => void;
}

/** The plots of one job, updated as its result grows. */
export interface Pictures {
  node: Element;
  update(result?: Result | null): void;
  /** what the plot is zoomed to; null where it shows everything */
  shown?(): Ranges | null;
}
export interface PlotOptions extends ViewContext {
  job: Job;
  result: Result;
  notice: Notice;
}

// ---- the form of a new job

/** A value that an option of a kind has, in a JobSpec. */
export type OptionValue = string | number | string[] | null;
export interface Bounds {
  least?: number;
  most?: number;
  /** an open upper end */
  below?: number;
  /** of a text or a list */
  longest?: number;
}
export interface Option extends Bounds {
  /** as in Python, without None */
  type: string;
  default: OptionValue;
  choices?: string[];
  /** false where the shell does not have it */
  shell?: boolean;
}
/** What a kind of job takes; see kinds.js. */
export interface Definition {
  axes: number;
  /** null for a grid around the checkpoints */
  grid: Grid | null;
  roles: { name: string; many: boolean; least: number }[];
  options: Record<string, Option>;
  /** while `option` is not its default, `others` must be theirs */
  excludes: { option: string; others: string[] }[];
  columns: string[];
}
/** Limits of what is no option. */
export interface Limits {
  points: number;
  ends: Bounds;
  count: Bounds;
  /** points along each axis of a grid around checkpoints */
  around: number;
  checkpoints: number;
  /** parts of an interval in a refinement */
  factor: number;
  subset: { count: Bounds; seed: Bounds };
}

/** A part of the axes. */
export interface Ranges {
  alpha: Pick<Axis, "min" | "max">;
  beta?: Pick<Axis, "min" | "max">;
}

/** What a refinement of a job adds: the body of POST …/refine. */
export interface Refinement {
  /** parts that every interval is cut into */
  factor?: number;
  alpha?: Pick<Axis, "min" | "max">;
  beta?: Pick<Axis, "min" | "max">;
  /** seeds in all */
  repeats?: number;
}

/** The form as typed: numbers are text. It has an input for each further checkpoint and each option, by its name. */
export interface Form {
  kind: Kind;
  /** the center */
  checkpoint: string;
  images: string;
  subsetCount: string;
  subsetSeed: string;
  alphaMin: string;
  alphaMax: string;
  alphaCount: string;
  ownBeta: boolean;
  betaMin: string;
  betaMax: string;
  betaCount: string;
  [name: string]: string | boolean | string[];
}
export type Input = string;
/** A sentence for each input that is wrong. */
export type Problems = Record<Input, string>;

declare global {
  var Plotly: Plotly | undefined;
  interface Window {
    /** vendor/tus.min.js */
    tus: {
      Upload: new (file: File, options: object) => TusUpload;
      defaultOptions: { fingerprint(file: File, options: object): Promise<string> };
    };
  }
}
export interface TusUpload {
  url: string | null;
  start(): void;
  abort(remove?: boolean): Promise<void>;
  findPreviousUploads(): Promise<object[]>;
  resumeFromPreviousUpload(previous: object): void;
}
export interface TusError extends Error {
  originalResponse?: { getStatus(): number; getBody(): string };
}
