/** The API's objects, as app/schemas.py and service/jobs/spec.py describe them. */

export type Kind = keyof (typeof import("./kinds.js"))["KINDS"];
export type JobState = "queued" | "running" | "done" | "failed" | "cancelled";
export type FileState = "received" | "reading" | "ready" | "rejected";

export interface Axis {
  min: number;
  max: number;
  count: number;
}

export interface Grid {
  alpha: Axis;
  beta?: Axis;
}

/** The request of a job: service/jobs/spec.py. That of a stored job is complete. */
export interface Spec {
  kind: Kind;
  checkpoint?: string;
  epochs?: string[];
  dataset?: string;
  split?: string;
  also?: string | null;
  subset?: { count: number; seed: number } | null;
  grid?: Grid | null;
  seed?: number;
  repeats?: number;
  directions?: string;
  precision?: string;
  /** the other options */
  [name: string]: unknown;
}

export interface Progress {
  done: number;
  total: number;
  level: number;
  levels: number;
  points_per_second: number | null;
  eta_seconds: number | null;
  /** null unless a worker prepares the job now; a total of 0 is unknown */
  preparing: {
    step: "checkpoints" | "path" | "first" | "other";
    done: number;
    total: number;
  } | null;
}

export interface Job {
  id: string;
  kind: Kind;
  name: string;
  state: JobState;
  error: string | null;
  spec: Spec;
  /** as it was at submission */
  checkpoint: { id: string; name: string; label: string };
  progress: Progress;
  yours: boolean;
  created: string;
  started: string | null;
  finished: string | null;
}

/** n × m values, one row for each alpha; null where not computed or not finite. */
export type Matrix = (number | null)[][];

export interface NonFinite {
  i: number;
  j: number;
  value: "nan" | "inf" | "-inf";
}

export interface Provenance {
  center: {
    loss: number;
    accuracy: number | null;
    on_grid: boolean;
    standard_error: number | null;
    /** 95 %, of the mean loss of further samples */
    interval?: { low: number; high: number; reliable: boolean } | null;
  };
  cosine?: number | null;
  /** names of the parameters with several axes that have no filters */
  scales?: string[];
  data_sha256?: string;
  landmarks?: { name: string; coordinates: [number, number] }[];
  warnings?: string[];
  loss?: { unit?: string };
  /** of a mean over seeds */
  repeated?: { seeds: number[] };
  /** where a job started from points of an earlier one; `seeds`: over which they are means */
  reused?: { job: string; points: number; seeds?: number };
}

export interface SelfCheck {
  passed: boolean;
  checks: { name: string; passed: boolean; text: string }[];
}

export interface Result {
  kind: Kind;
  state: JobState;
  alphas: number[];
  betas: number[];
  losses: Matrix;
  accuracies: Matrix;
  standard_errors: Matrix;
  /** arrays of this kind of job only */
  extra: Record<string, Matrix>;
  non_finite: NonFinite[];
  provenance: Provenance | null;
  self_check: SelfCheck | null;
  caption: string;
  trajectory?: { coordinates: [number, number][]; losses: (number | null)[] } | null;
}

/** Computed points of a job, as an event brings them. */
export interface Tile {
  points: [number, number][];
  losses: (number | null)[];
  accuracies: (number | null)[];
  standard_errors: (number | null)[];
  extra: Record<string, (number | null)[]>;
  non_finite: NonFinite[];
}

export interface Architecture {
  label: string;
}

export interface Checkpoint {
  id: string;
  name: string;
  size: number;
  state: FileState;
  reason: string | null;
  architecture: Architecture | null;
  candidates: Architecture[];
  parameters: number | null;
  facts: Record<string, string>;
  yours: boolean;
  created: string;
}

/** A checkpoint that jobs can use. */
export type ReadyCheckpoint = Checkpoint & { architecture: Architecture };

export interface Dataset {
  /** of an upload; built-in ones have none */
  id: string | null;
  name: string;
  title: string;
  state: FileState;
  reason: string | null;
  kind: "images" | "vectors" | "tokens" | null;
  targets: "classes" | "values" | "tokens" | null;
  /** samples in each */
  splits: Record<string, number>;
  classes: number;
  shape: number[];
  normalization: string;
  vocabulary: number;
  size: number | null;
  yours: boolean;
  created: string | null;
}

export interface Page<Item> {
  items: Item[];
  total: number;
}

export interface LogLine {
  at: string;
  level: "info" | "warning" | "error";
  text: string;
}

/** A summary number of a result. */
export interface SummaryNumber {
  name: string;
  value: number | null;
  unit: string;
  error: number | null;
  definition: string;
  /** what the grid cannot settle, and what would */
  note: string | null;
  /** the ranges that would */
  window: { alpha: Ends; beta?: Ends } | null;
}

export interface Ends {
  min: number;
  max: number;
}

/** How a shipped network was trained. */
export interface TrainingRecord {
  train_loss?: number;
  test_error?: number;
}

export interface Comparison {
  name: string;
  title: string;
  text: string;
  rows: string[];
  columns: string[];
  cells: { checkpoint: string | null; job: string | null; record: TrainingRecord }[][];
}

export type Scope = "read" | "submit" | "admin" | "work";

export interface Token {
  id: string;
  user: string;
  name: string;
  scopes: Scope[];
  created: string;
  expires: string | null;
  used: string | null;
}

export interface Link {
  id: string;
  created: string;
  expires: string | null;
  used: string | null;
}

/** The session of this browser; `access` says whether the service requires a login. */
export interface Account {
  user: string | null;
  scopes: Scope[];
  access: boolean;
  expires: string | null;
  /** a login is required before anything can be shown */
  outside: boolean;
}

/** What a GET of this path answers. */
export type Answer<Path extends string> = Path extends `/api/v1/jobs/${string}/result`
  ? Result
  : Path extends `/api/v1/jobs/${string}/numbers`
    ? { items: SummaryNumber[] }
    : Path extends `/api/v1/jobs/${string}/log?${string}`
      ? Page<LogLine>
      : Path extends `/api/v1/jobs/${string}/share`
        ? { items: Link[] }
        : Path extends `/api/v1/jobs/${string}`
          ? Job
          : Path extends `/api/v1/jobs?${string}`
            ? Page<Job>
            : Path extends `/api/v1/checkpoints/${string}`
              ? Checkpoint
              : Path extends `/api/v1/checkpoints?${string}`
                ? Page<Checkpoint>
                : Path extends `/api/v1/datasets/${string}`
                  ? Dataset
                  : Path extends `/api/v1/datasets?${string}`
                    ? Page<Dataset>
                    : Path extends "/api/v1/gallery"
                      ? { comparisons: Comparison[] }
                      : Path extends "/api/v1/tokens"
                        ? { items: Token[] }
                        : unknown;

/** What a POST to this path answers. */
export type Posted<Path extends string> = Path extends "/api/v1/session"
  ? Omit<Account, "outside">
  : Path extends "/api/v1/tokens"
    ? { token: string; user: string }
    : Path extends `/api/v1/jobs/${string}/share`
      ? { link: string }
      : Path extends "/api/v1/jobs" | `/api/v1/jobs/${string}`
        ? { id: string }
        : unknown;
