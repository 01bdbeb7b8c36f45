-- Schema version 2: rollups and what the retention-pruner remembers.

-- What the readings of a series (a column of a sensor) come to in each bucket of `size`
-- seconds that begins at ts. Of several values at one instant, the least is the first and
-- the greatest the last.
CREATE TABLE rollup (
  size     integer NOT NULL,
  sensor   integer NOT NULL,
  col      integer NOT NULL,
  ts       timestamptz NOT NULL,
  count    bigint NOT NULL,
  min      double precision NOT NULL,
  max      double precision NOT NULL,
  sum      double precision NOT NULL,
  first    double precision NOT NULL,
  last     double precision NOT NULL,
  first_ts timestamptz NOT NULL,
  last_ts  timestamptz NOT NULL,
  PRIMARY KEY (size, sensor, col, ts)
);

-- One row, in microseconds since 1970. Readings older than counted_until are in the
-- rollups, but for what `late` has; a reading older than late_before is put into `late` as
-- well when it is stored. late_before is moved when nobody is storing: who stores holds
-- the advisory lock 1146118776 shared. Days that end at dropped_until or before have no
-- partition any more and get none. The last run began at run_wall, run_boot_us after the
-- boot run_boot_id.
CREATE TABLE retention (
  counted_until bigint NOT NULL,
  late_before   bigint NOT NULL,
  dropped_until bigint NOT NULL,
  run_wall      bigint NOT NULL,
  run_boot_us   bigint NOT NULL,
  run_boot_id   text NOT NULL
);
INSERT INTO retention VALUES (0, 0, 0, 0, 0, '');

-- Readings that came too late to be counted with the others of their time, once more. No
-- key: replicas never wait for each other here.
CREATE TABLE late (
  sensor integer NOT NULL,
  ts     timestamptz NOT NULL,
  temperature double precision,
  humidity    double precision,
  v2 double precision, v3 double precision, v4 double precision,
  v5 double precision, v6 double precision, v7 double precision
);

-- For people; ts is the begin of the bucket.
CREATE VIEW reading_1m
  (topic, sensor, quantity, unit, ts, time, count, min, max, mean, sum, first, last) AS
  SELECT s.topic, s.name, c.quantity, c.unit, r.ts,
    to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    r.count, r.min, r.max, r.sum / r.count, r.sum, r.first, r.last
  FROM sensor s JOIN channel c ON c.sensor = s.id
    JOIN rollup r ON r.size = 60 AND r.sensor = c.sensor AND r.col = c.col;
CREATE VIEW reading_1h
  (topic, sensor, quantity, unit, ts, time, count, min, max, mean, sum, first, last) AS
  SELECT s.topic, s.name, c.quantity, c.unit, r.ts,
    to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    r.count, r.min, r.max, r.sum / r.count, r.sum, r.first, r.last
  FROM sensor s JOIN channel c ON c.sensor = s.id
    JOIN rollup r ON r.size = 3600 AND r.sensor = c.sensor AND r.col = c.col;
