-- The broker's database, schema version 1 (schema_2.sql takes it to 2, schema_3.sql to 3). Times are microseconds since 1970 (UTC).

-- A sensor is a topic (/data/<node>) and a name; plain clients have no name.
CREATE TABLE sensor (
  id    INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  name  TEXT NOT NULL,
  UNIQUE (topic, name)
);

-- Which quantity and unit stands in which column of a sensor's rows: column 0 is
-- reading.temperature (Cel), 1 is reading.humidity (%RH), 2 to 7 are v2 to v7.
CREATE TABLE channel (
  sensor   INTEGER NOT NULL REFERENCES sensor (id),
  col      INTEGER NOT NULL CHECK (col BETWEEN 0 AND 7),
  quantity TEXT NOT NULL,
  unit     TEXT NOT NULL,
  PRIMARY KEY (sensor, col),
  UNIQUE (sensor, quantity, unit)
) WITHOUT ROWID;

-- One row a reading (of each part of its sensor: schema_3.sql), its values side by side,
-- clustered by sensor and time. The id is never used twice; it keeps two readings of one
-- instant apart.
-- clock: 0 synchronised, 1 plausible but not synchronised, 2 guessed.
CREATE TABLE reading (
  sensor      INTEGER NOT NULL,
  ts          INTEGER NOT NULL,
  id          INTEGER NOT NULL,
  clock       INTEGER NOT NULL,
  temperature REAL,
  humidity    REAL,
  v2 REAL, v3 REAL, v4 REAL, v5 REAL, v6 REAL, v7 REAL,
  PRIMARY KEY (sensor, ts, id)
) WITHOUT ROWID;

-- One row: the next reading.id.
CREATE TABLE next_id (reading INTEGER NOT NULL);
INSERT INTO next_id VALUES (1);

-- One run of a sampler; it belongs to the node on whose topic it was first seen.
CREATE TABLE stream (
  id      INTEGER PRIMARY KEY,
  stream  BLOB NOT NULL UNIQUE CHECK (length(stream) = 16),
  node    TEXT NOT NULL,
  created INTEGER NOT NULL,
  seen    INTEGER NOT NULL, -- to the hour
  lost    INTEGER NOT NULL DEFAULT 0
);

-- The sequence numbers of a stream that are consumed: stored, dead or lost. One row
-- a stream in the normal case.
CREATE TABLE stream_interval (
  stream INTEGER NOT NULL REFERENCES stream (id),
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  PRIMARY KEY (stream, first)
) WITHOUT ROWID;

-- What will never come: below a stream's `low` and not stored.
CREATE TABLE lost (
  stream INTEGER NOT NULL REFERENCES stream (id),
  first  INTEGER NOT NULL,
  count  INTEGER NOT NULL,
  ts     INTEGER NOT NULL,
  PRIMARY KEY (stream, first)
) WITHOUT ROWID;

-- What could not be decoded. bytes is the payload's whole size; what is kept of it
-- may be less.
CREATE TABLE dead_letter (
  id      INTEGER PRIMARY KEY,
  ts      INTEGER NOT NULL,
  topic   TEXT NOT NULL,
  reason  TEXT NOT NULL,
  stream  BLOB,
  seq     INTEGER,
  bytes   INTEGER NOT NULL,
  payload BLOB NOT NULL
);

-- Who does what only one may do. number grows with each change of hands.
CREATE TABLE lease (
  name    TEXT PRIMARY KEY,
  holder  TEXT NOT NULL,
  number  INTEGER NOT NULL,
  expires INTEGER NOT NULL
) WITHOUT ROWID;

-- The query of the 2023 prototype: SELECT * FROM dht.
CREATE VIEW dht (id, topic, temp, humidity) AS
  SELECT reading.id, sensor.topic, reading.temperature, reading.humidity
  FROM reading JOIN sensor ON sensor.id = reading.sensor
  WHERE reading.temperature IS NOT NULL OR reading.humidity IS NOT NULL
  ORDER BY reading.id;
