-- Schema version 2: rollups and what the retention-pruner remembers.

-- What the readings of a series (a column of a sensor) come to in each bucket of `size`
-- seconds that begins at ts. first and last are the values that came first_after and
-- last_after microseconds after ts.
CREATE TABLE rollup (
  size   INTEGER NOT NULL,
  sensor INTEGER NOT NULL,
  col    INTEGER NOT NULL,
  ts     INTEGER NOT NULL,
  count  INTEGER NOT NULL,
  min    REAL NOT NULL,
  max    REAL NOT NULL,
  sum    REAL NOT NULL,
  first  REAL NOT NULL,
  last   REAL NOT NULL,
  first_after INTEGER NOT NULL,
  last_after  INTEGER NOT NULL,
  PRIMARY KEY (size, sensor, col, ts)
) WITHOUT ROWID;

-- One row. A reading older than counted_until with an id below counted_id is in the
-- rollups, unless it is yet to be counted: of counted_since or later and behind
-- (sensor, ts, id), where counting has come to. Any other reading older than
-- counted_until is named in `late`. Readings that were deleted are counted in `removed`.
-- The last run began at run_wall, run_boot_us after the boot run_boot_id.
CREATE TABLE retention (
  counted_since INTEGER NOT NULL,
  counted_until INTEGER NOT NULL,
  counted_id    INTEGER NOT NULL,
  sensor        INTEGER NOT NULL,
  ts            INTEGER NOT NULL,
  id            INTEGER NOT NULL,
  removed       INTEGER NOT NULL,
  run_wall      INTEGER NOT NULL,
  run_boot_us   INTEGER NOT NULL,
  run_boot_id   TEXT NOT NULL
);
INSERT INTO retention
  SELECT 0, 0, 0, 0, 0, 0, (SELECT reading FROM next_id) - 1 - count(*), 0, 0, '' FROM reading;

-- Readings that came too late to be counted with their bucket: of a sensor, with ids
-- from first to last and times up to until, but for those up to (ts, id).
CREATE TABLE late (
  sensor INTEGER NOT NULL,
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  ts     INTEGER NOT NULL,
  id     INTEGER NOT NULL,
  until  INTEGER NOT NULL,
  PRIMARY KEY (sensor, first)
) WITHOUT ROWID;

-- For people. ts is the begin of the bucket in microseconds. CROSS keeps the order of the
-- tables, so that a series is looked up before its rollups are.
CREATE VIEW reading_1m
  (topic, sensor, quantity, unit, ts, time, count, min, max, mean, sum, first, last) AS
  SELECT s.topic, s.name, c.quantity, c.unit, r.ts, datetime(r.ts / 1000000, 'unixepoch'),
    r.count, r.min, r.max, r.sum / r.count, r.sum, r.first, r.last
  FROM sensor s CROSS JOIN channel c ON c.sensor = s.id
    CROSS JOIN rollup r ON r.size = 60 AND r.sensor = c.sensor AND r.col = c.col;
CREATE VIEW reading_1h
  (topic, sensor, quantity, unit, ts, time, count, min, max, mean, sum, first, last) AS
  SELECT s.topic, s.name, c.quantity, c.unit, r.ts, datetime(r.ts / 1000000, 'unixepoch'),
    r.count, r.min, r.max, r.sum / r.count, r.sum, r.first, r.last
  FROM sensor s CROSS JOIN channel c ON c.sensor = s.id
    CROSS JOIN rollup r ON r.size = 3600 AND r.sensor = c.sensor AND r.col = c.col;
