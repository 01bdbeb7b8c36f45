-- The database in PostgreSQL (14 or newer), schema version 1: as common/schema.sql, but
-- for what PostgreSQL does better. Times are of type timestamptz.

CREATE TABLE sensor (
  id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL,
  name  text NOT NULL,
  UNIQUE (topic, name)
);

-- Which quantity and unit stands in which column of a sensor's rows: column 0 is
-- reading.temperature (Cel), 1 is reading.humidity (%RH), 2 to 7 are v2 to v7.
CREATE TABLE channel (
  sensor   integer NOT NULL REFERENCES sensor (id),
  col      integer NOT NULL CHECK (col BETWEEN 0 AND 7),
  quantity text NOT NULL,
  unit     text NOT NULL,
  PRIMARY KEY (sensor, col),
  UNIQUE (sensor, quantity, unit)
);

-- The numbers of readings: never used twice; with gaps, and in order for one ingest only.
CREATE SEQUENCE reading_id CACHE 1000;

-- One row a reading (of each part of its sensor: schema_3.sql), a partition a day (UTC):
-- reading_20261125. What exactly-once needs
-- is in stream.stored, so there is no key to look up for each row.
-- clock: 0 synchronised, 1 plausible but not synchronised, 2 guessed.
CREATE TABLE reading (
  sensor      integer NOT NULL,
  ts          timestamptz NOT NULL,
  id          bigint NOT NULL DEFAULT nextval('reading_id'),
  clock       smallint NOT NULL,
  temperature double precision,
  humidity    double precision,
  v2 double precision, v3 double precision, v4 double precision,
  v5 double precision, v6 double precision, v7 double precision
) PARTITION BY RANGE (ts);
CREATE INDEX reading_sensor_ts ON reading (sensor, ts);

-- For what a board without a clock or somebody's device may claim.
CREATE TABLE reading_default PARTITION OF reading DEFAULT;

-- Make the partition of a day, unless it is there. What the default partition has of
-- that day moves.
CREATE FUNCTION dewpoint_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  part text := 'reading_' || to_char(day, 'YYYYMMDD');
  since timestamptz := day::timestamp AT TIME ZONE 'UTC';
  until timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
  IF to_regclass(part) IS NOT NULL THEN
    RETURN;
  END IF;
  LOCK TABLE reading_default IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE reading INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
  EXECUTE format('WITH moved AS (DELETE FROM reading_default WHERE ts >= %L AND ts < %L RETURNING *)'
    ' INSERT INTO %I SELECT * FROM moved', since, until, part);
  EXECUTE format('ALTER TABLE reading ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
    part, since, until);
END $$;

-- One run of a sampler; it belongs to the node on whose topic it was first seen. stored
-- are the sequence numbers that are consumed (stored, dead or lost): one range in the
-- normal case. Updated with each batch, so there is room in each page for that.
CREATE TABLE stream (
  stream  bytea PRIMARY KEY CHECK (length(stream) = 16),
  node    text NOT NULL,
  created timestamptz NOT NULL,
  seen    timestamptz NOT NULL, -- to the hour
  lost    bigint NOT NULL DEFAULT 0,
  stored  int8multirange NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);

-- What will never come: below a stream's `low` and not stored.
CREATE TABLE lost (
  stream bytea NOT NULL REFERENCES stream (stream),
  first  bigint NOT NULL,
  count  bigint NOT NULL,
  ts     timestamptz NOT NULL,
  PRIMARY KEY (stream, first)
);

-- What could not be decoded. bytes is the payload's whole size; what is kept of it
-- may be less.
CREATE TABLE dead_letter (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ts      timestamptz NOT NULL,
  topic   text NOT NULL,
  reason  text NOT NULL,
  stream  bytea,
  seq     bigint,
  bytes   bigint NOT NULL,
  payload bytea NOT NULL
);

-- Who does what only one may do. number grows with each change of hands; the clock is
-- the database's.
CREATE TABLE lease (
  name    text PRIMARY KEY,
  holder  text NOT NULL,
  number  bigint NOT NULL,
  expires timestamptz NOT NULL
);

-- The query of the 2023 prototype: SELECT * FROM dht.
CREATE VIEW dht (id, topic, temp, humidity) AS
  SELECT reading.id, sensor.topic, reading.temperature, reading.humidity
  FROM reading JOIN sensor ON sensor.id = reading.sensor
  WHERE reading.temperature IS NOT NULL OR reading.humidity IS NOT NULL
  ORDER BY reading.id;
