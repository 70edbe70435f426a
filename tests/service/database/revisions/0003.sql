CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE turns (
  owner VARCHAR NOT NULL,
  served BIGINT NOT NULL,
  PRIMARY KEY (owner)
);
CREATE TABLE checkpoints (
  id VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  sha256 VARCHAR NOT NULL,
  size BIGINT NOT NULL,
  state VARCHAR NOT NULL,
  reason VARCHAR,
  weights_sha256 VARCHAR,
  candidates JSON NOT NULL,
  architecture JSON,
  facts JSON NOT NULL,
  gallery VARCHAR,
  created DOUBLE NOT NULL,
  owner VARCHAR,
  sanitized_size BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_checkpoints_created ON checkpoints (created);
CREATE INDEX ix_checkpoints_owner ON checkpoints (owner);
CREATE TABLE datasets (
  id VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  sha256 VARCHAR NOT NULL,
  size BIGINT NOT NULL,
  state VARCHAR NOT NULL,
  reason VARCHAR,
  data_sha256 VARCHAR,
  facts JSON NOT NULL,
  created DOUBLE NOT NULL,
  owner VARCHAR,
  sanitized_size BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_datasets_created ON datasets (created);
CREATE INDEX ix_datasets_name ON datasets (name);
CREATE INDEX ix_datasets_owner ON datasets (owner);
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
  owner VARCHAR,
  device VARCHAR,
  preparing JSON,
  values_sha256 VARCHAR,
  PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_checkpoint_id ON jobs (checkpoint_id);
CREATE INDEX ix_jobs_owner ON jobs (owner);
CREATE INDEX jobs_by_age ON jobs (created, id, owner, kind);
CREATE INDEX jobs_by_state ON jobs (state, created, id, owner, kind);
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
  owner VARCHAR NOT NULL,
  count INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  device VARCHAR,
  worker VARCHAR,
  sha256 VARCHAR,
  seconds DOUBLE,
  not_before DOUBLE,
  PRIMARY KEY (id),
  CONSTRAINT tiles_owner_fkey FOREIGN KEY(owner) REFERENCES turns (owner),
  FOREIGN KEY(checkpoint_id) REFERENCES checkpoints (id) ON DELETE CASCADE,
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
  FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE,
  UNIQUE (job_id, level, rank)
);
CREATE INDEX tiles_by_sequence ON tiles (job_id, sequence);
CREATE INDEX tiles_by_turn ON tiles (state, level, owner, turn, id);
CREATE INDEX tiles_by_state ON tiles (job_id, state, level);
CREATE TABLE workers (
  id VARCHAR NOT NULL,
  device VARCHAR NOT NULL,
  host VARCHAR NOT NULL,
  pid INTEGER NOT NULL,
  started DOUBLE NOT NULL,
  seen DOUBLE NOT NULL,
  busy_since DOUBLE,
  memory BIGINT,
  device_memory BIGINT,
  PRIMARY KEY (id)
);
CREATE TABLE log_lines (
  id INTEGER NOT NULL,
  job_id VARCHAR NOT NULL,
  at DOUBLE NOT NULL,
  level VARCHAR NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX ix_log_lines_job_id ON log_lines (job_id);
CREATE TABLE counts (
  name VARCHAR NOT NULL,
  label VARCHAR NOT NULL,
  value DOUBLE NOT NULL,
  PRIMARY KEY (name, label)
);
CREATE TABLE access (
  id VARCHAR NOT NULL,
  kind VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  digest VARCHAR NOT NULL,
  owner VARCHAR NOT NULL,
  scopes JSON NOT NULL,
  job_id VARCHAR,
  parent VARCHAR,
  created DOUBLE NOT NULL,
  expires DOUBLE,
  used DOUBLE,
  PRIMARY KEY (id),
  UNIQUE (digest),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
  FOREIGN KEY(parent) REFERENCES access (id) ON DELETE CASCADE
);
CREATE INDEX ix_access_owner ON access (owner);
CREATE TABLE uploads (
  id VARCHAR NOT NULL,
  purpose VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  size BIGINT NOT NULL,
  owner VARCHAR,
  created DOUBLE NOT NULL,
  expires DOUBLE NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_uploads_owner ON uploads (owner);
INSERT INTO alembic_version (version_num) VALUES ('0003');
INSERT INTO turns (owner, served) VALUES ('', 3);
INSERT INTO turns (owner, served) VALUES ('ada', 2);
INSERT INTO checkpoints (id, name, sha256, size, state, reason, weights_sha256, candidates, architecture, facts, gallery, created)
  VALUES ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a.pt', '0000000000000000000000000000000000000000000000000000000000000000', 5, 'ready', NULL, '1111111111111111111111111111111111111111111111111111111111111111', '[{"label": "ResNet-8", "classes": 10, "channels": 1, "parameters": 1}]', '{"label": "ResNet-8", "classes": 10, "channels": 1, "parameters": 1}', '{}', NULL, 1700000000.5);
INSERT INTO checkpoints (id, name, sha256, size, state, reason, weights_sha256, candidates, architecture, facts, gallery, created)
  VALUES ('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'waits.pt', '2222222222222222222222222222222222222222222222222222222222222222', 7, 'received', NULL, NULL, '[]', 'null', '{}', NULL, 1700000001.5);
INSERT INTO datasets (id, name, sha256, size, state, reason, data_sha256, facts, created)
  VALUES ('cccccccccccccccccccccccccccccccc', 'ones', '3333333333333333333333333333333333333333333333333333333333333333', 9, 'ready', NULL, '4444444444444444444444444444444444444444444444444444444444444444', '{"classes": 10}', 1700000002.5);
INSERT INTO workers (id, device, host, pid, started, seen, busy_since, memory, device_memory)
  VALUES ('lab-1', 'CPU', 'lab', 7, 1700000003.0, 1700000003.5, NULL, 1000000000, NULL);
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
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('prepare', NULL, NULL, 'dddddddddddddddddddddddddddddddd', '', 0, -1, 0, '[]', 1, NULL, 'done', NULL, 'lab-1', NULL, 1, NULL, NULL, 0.25, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('points', NULL, NULL, 'dddddddddddddddddddddddddddddddd', '', 0, 0, 2, '[[0, 0], [0, 1]]', 2, NULL, 'done', NULL, 'lab-1', NULL, 1, X'000000000000f03f000000000000e03f9a9999999999b93f0000000000000040000000000000e03f9a9999999999b93f', '38b83f90fd6157ae9303da35613b80e91ea6e22236ba90c0faac053eed3cb3d7', 0.25, 1, 1700000005.0);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('points', NULL, NULL, 'dddddddddddddddddddddddddddddddd', '', 0, 2, 2, '[[1, 0], [1, 1]]', 2, NULL, 'done', NULL, 'lab-1', NULL, 1, X'0000000000000840000000000000e03f9a9999999999b93f0000000000001040000000000000e03f9a9999999999b93f', 'e7f05961cb7ea8697bed1953f855ca1778a94664c12c699403b4e56909d294e5', 0.25, 2, 1700000005.5);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('prepare', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', '', 0, -1, 0, '[]', 1, NULL, 'done', NULL, 'lab-1', NULL, 1, NULL, NULL, 0.25, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('points', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', '', 0, 0, 1, '[[0, 0]]', 2, NULL, 'done', NULL, 'lab-1', NULL, 1, X'000000000000f03f000000000000e03f9a9999999999b93f', '05cec12daeca0b88fe6a951111f7391757281951df862eb1e8210f3dc4d20bb8', 0.25, 1, 1700000007.0);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('points', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', '', 0, 1, 1, '[[0, 1]]', 2, NULL, 'leased', '99999999999999999999999999999999', 'lab-1', 1700000008.0, 1, NULL, NULL, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('points', NULL, NULL, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', '', 0, 2, 2, '[]', 2, NULL, 'waiting', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('prepare', NULL, NULL, 'ffffffffffffffffffffffffffffffff', '', 0, -1, 0, '[]', 1, NULL, 'waiting', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO tiles (purpose, checkpoint_id, dataset_id, job_id, owner, level, rank, count, points, turn, device, state, lease, worker, leased_until, attempts, "values", sha256, seconds, sequence, finished)
  VALUES ('read', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', NULL, NULL, '', -1, 0, 0, '[]', 1, NULL, 'waiting', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO log_lines (job_id, at, level, text) VALUES ('dddddddddddddddddddddddddddddddd', 1700000004.0, 'info', 'Submitted: surface of ResNet-8 on digits.');
INSERT INTO log_lines (job_id, at, level, text) VALUES ('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 1700000006.5, 'warning', 'Attempt 1 of 3 at 1 point failed: its worker fell silent.');
INSERT INTO counts (name, label, value) VALUES ('jobs_finished', 'done', 1.0);
INSERT INTO counts (name, label, value) VALUES ('tile_seconds', '0.25', 3.0);
INSERT INTO access (id, kind, name, digest, owner, scopes, job_id, parent, created, expires, used)
  VALUES ('11111111111111111111111111111111', 'token', 'laptop', '5555555555555555555555555555555555555555555555555555555555555555', 'ada', '["read", "submit"]', NULL, NULL, 1700000000.0, NULL, 1700000009.0);
INSERT INTO access (id, kind, name, digest, owner, scopes, job_id, parent, created, expires, used)
  VALUES ('22222222222222222222222222222222', 'session', '', '6666666666666666666666666666666666666666666666666666666666666666', 'ada', '["read", "submit"]', NULL, '11111111111111111111111111111111', 1700000001.0, 1800000000.0, NULL);
INSERT INTO access (id, kind, name, digest, owner, scopes, job_id, parent, created, expires, used)
  VALUES ('33333333333333333333333333333333', 'link', 'for the talk', '7777777777777777777777777777777777777777777777777777777777777777', 'ada', '["read"]', 'dddddddddddddddddddddddddddddddd', NULL, 1700000002.0, NULL, NULL);
INSERT INTO uploads (id, purpose, name, size, owner, created, expires) VALUES ('88888888888888888888888888888888', 'checkpoint', 'half.pt', 3000000000, 'ada', 1700000009.0, 1800000000.0);
