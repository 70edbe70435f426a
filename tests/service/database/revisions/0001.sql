CREATE TABLE checkpoints (
  id VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  sha256 VARCHAR NOT NULL,
  size INTEGER NOT NULL,
  state VARCHAR NOT NULL,
  reason VARCHAR,
  weights_sha256 VARCHAR,
  candidates JSON NOT NULL,
  architecture JSON,
  facts JSON NOT NULL,
  gallery VARCHAR,
  created DOUBLE NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_checkpoints_created ON checkpoints (created);
CREATE TABLE datasets (
  id VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  sha256 VARCHAR NOT NULL,
  size INTEGER NOT NULL,
  state VARCHAR NOT NULL,
  reason VARCHAR,
  data_sha256 VARCHAR,
  facts JSON NOT NULL,
  created DOUBLE NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_datasets_created ON datasets (created);
CREATE INDEX ix_datasets_name ON datasets (name);
CREATE TABLE jobs (
  id VARCHAR NOT NULL,
  kind VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  spec JSON NOT NULL,
  checkpoint JSON NOT NULL,
  checkpoint_id VARCHAR NOT NULL,
  gallery VARCHAR,
  state VARCHAR NOT NULL,
  error VARCHAR,
  provenance JSON,
  grid JSON,
  points INTEGER NOT NULL,
  points_per_tile INTEGER NOT NULL,
  points_done INTEGER NOT NULL,
  tiles_done INTEGER NOT NULL,
  created DOUBLE NOT NULL,
  started DOUBLE,
  finished DOUBLE,
  PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_checkpoint_id ON jobs (checkpoint_id);
CREATE INDEX ix_jobs_created ON jobs (created);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE workers (
  id VARCHAR NOT NULL,
  device VARCHAR NOT NULL,
  seen DOUBLE NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE tiles (
  id INTEGER NOT NULL,
  purpose VARCHAR NOT NULL,
  checkpoint_id VARCHAR,
  dataset_id VARCHAR,
  job_id VARCHAR,
  level INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  points JSON NOT NULL,
  state VARCHAR NOT NULL,
  lease VARCHAR,
  leased_until DOUBLE,
  attempts INTEGER NOT NULL,
  "values" BLOB,
  sequence INTEGER,
  finished DOUBLE,
  PRIMARY KEY (id),
  UNIQUE (job_id, level, rank),
  FOREIGN KEY(checkpoint_id) REFERENCES checkpoints (id) ON DELETE CASCADE,
  FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE,
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX tiles_by_sequence ON tiles (job_id, sequence);
CREATE INDEX tiles_by_turn ON tiles (state, level, rank);
INSERT INTO checkpoints (id, name, sha256, size, state, reason, weights_sha256, candidates, architecture, facts, gallery, created)
  VALUES ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a.pt', '0000000000000000000000000000000000000000000000000000000000000000', 5, 'ready', NULL, '1111111111111111111111111111111111111111111111111111111111111111', '[{"label": "ResNet-8", "classes": 10, "channels": 1, "parameters": 1}]', '{"label": "ResNet-8", "classes": 10, "channels": 1, "parameters": 1}', '{}', NULL, 1700000000.5);
INSERT INTO checkpoints (id, name, sha256, size, state, reason, weights_sha256, candidates, architecture, facts, gallery, created)
  VALUES ('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'waits.pt', '2222222222222222222222222222222222222222222222222222222222222222', 7, 'received', NULL, NULL, '[]', 'null', '{}', NULL, 1700000001.5);
INSERT INTO datasets (id, name, sha256, size, state, reason, data_sha256, facts, created)
  VALUES ('cccccccccccccccccccccccccccccccc', 'ones', '3333333333333333333333333333333333333333333333333333333333333333', 9, 'ready', NULL, '4444444444444444444444444444444444444444444444444444444444444444', '{"classes": 10}', 1700000002.5);
INSERT INTO workers (id, device, seen) VALUES ('old-1', 'CPU', 1700000003.5);
INSERT INTO jobs (id, kind, name, spec, checkpoint, checkpoint_id, gallery, state, error, provenance, grid, points, points_per_tile, points_done, tiles_done, created, started, finished)
  VALUES ('dddddddddddddddddddddddddddddddd', 'surface', 'job d', '{"kind": "surface", "checkpoint": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "dataset": "digits", "grid": {"alpha": {"min": -1.0, "max": 1.0, "count": 2}, "beta": {"min": -1.0, "max": 1.0, "count": 2}}}',
  '{"id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "a.pt", "label": "ResNet-8", "architecture": {"label": "ResNet-8"}, "gallery": null}', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', NULL, 'done', NULL, '{}', '{"alpha": {"min": -1.0, "max": 1.0, "count": 2}, "beta": {"min": -1.0, "max": 1.0, "count": 2}}',
  4, 2, 4, 2, 1700000004.0, 1700000004.5, 1700000005.5);
INSERT INTO jobs (id, kind, name, spec, checkpoint, checkpoint_id, gallery, state, error, provenance, grid, points, points_per_tile, points_done, tiles_done, created, started, finished)
  VALUES ('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 'surface', 'job e', '{"kind": "surface", "checkpoint": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "dataset": "digits", "grid": {"alpha": {"min": -1.0, "max": 1.0, "count": 2}, "beta": {"min": -1.0, "max": 1.0, "count": 2}}}',
  '{"id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "a.pt", "label": "ResNet-8", "architecture": {"label": "ResNet-8"}, "gallery": null}', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', NULL, 'running', NULL, '{}', '{"alpha": {"min": -1.0, "max": 1.0, "count": 2}, "beta": {"min": -1.0, "max": 1.0, "count": 2}}',
  4, 2, 1, 1, 1700000006.0, 1700000006.5, NULL);
INSERT INTO jobs (id, kind, name, spec, checkpoint, checkpoint_id, gallery, state, error, provenance, grid, points, points_per_tile, points_done, tiles_done, created, started, finished)
  VALUES ('ffffffffffffffffffffffffffffffff', 'surface', 'job f', '{"kind": "surface", "checkpoint": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "dataset": "digits", "grid": {"alpha": {"min": -1.0, "max": 1.0, "count": 2}, "beta": {"min": -1.0, "max": 1.0, "count": 2}}}',
  '{"id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "a.pt", "label": "ResNet-8", "architecture": {"label": "ResNet-8"}, "gallery": null}', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', NULL, 'queued', NULL, NULL, '{"alpha": {"min": -1.0, "max": 1.0, "count": 2}, "beta": {"min": -1.0, "max": 1.0, "count": 2}}',
  4, 2, 0, 0, 1700000007.0, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('prepare', NULL, NULL, 'dddddddddddddddddddddddddddddddd', -1, 0, '[]', 'done', NULL, NULL, 1, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('points', NULL, NULL, 'dddddddddddddddddddddddddddddddd', 0, 0, '[[0, 0], [0, 1]]', 'done', NULL, NULL, 1, X'000000000000f03f000000000000e03f9a9999999999b93f0000000000000040000000000000e03f9a9999999999b93f', 1, 1700000005.0);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('points', NULL, NULL, 'dddddddddddddddddddddddddddddddd', 0, 1, '[[1, 0], [1, 1]]', 'done', NULL, NULL, 1, X'0000000000000840000000000000e03f9a9999999999b93f0000000000001040000000000000e03f9a9999999999b93f', 2, 1700000005.5);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('prepare', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', -1, 0, '[]', 'done', NULL, NULL, 1, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('points', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 0, 0, '[[0, 0]]', 'done', NULL, NULL, 1, X'000000000000f03f000000000000e03f9a9999999999b93f', 1, 1700000007.0);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('points', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 0, 1, '[[0, 1]]', 'leased', '99999999999999999999999999999999', 1700000008.0, 1, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('points', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 0, 2, '[[1, 0], [1, 1]]', 'waiting', NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('prepare', NULL, NULL, 'ffffffffffffffffffffffffffffffff', -1, 0, '[]', 'waiting', NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, level, rank, points, state, lease, leased_until, attempts, "values", sequence, finished)
  VALUES ('read', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', NULL, NULL, -2, 0, '[]', 'waiting', NULL, NULL, 0, NULL, NULL, NULL);
