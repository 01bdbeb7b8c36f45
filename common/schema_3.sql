-- Schema version 3: which store this is, and any number of quantities for a sensor.
-- reading.clock may be 3 as well: the reading's time was more than a day ahead of
-- the clock of who stored it, whatever its sender says.

-- One row: 128 random bits. Two stores behind one broker would each get half of what is
-- sent; by this they know each other.
CREATE TABLE store (id BLOB NOT NULL CHECK (length(id) = 16));
INSERT INTO store VALUES (randomblob(16));

-- A sensor (topic and name) is one row here, part 0, or several: parts 0, 1, 2, ..., each with
-- an id and eight columns of its own, when it has more quantities than one has room for. A
-- reading is a row of `reading` for each part in which it has a value, all with the same ts.
-- Temperature (Cel) and humidity (%RH) are in part 0; columns 0 and 1 of other parts are NULL.
-- A quantity and unit has one column, in one part. Whoever looks for a sensor's values goes
-- by topic and name, and joins `channel` by sensor.id: that finds all parts.
DROP VIEW dht;
DROP VIEW reading_1m;
DROP VIEW reading_1h;
CREATE TABLE sensor_3 (
  id    INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  name  TEXT NOT NULL,
  part  INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic, name, part)
);
INSERT INTO sensor_3 (id, topic, name) SELECT id, topic, name FROM sensor;
DROP TABLE sensor;
ALTER TABLE sensor_3 RENAME TO sensor;

-- The views as they were.
CREATE VIEW dht (id, topic, temp, humidity) AS
  SELECT reading.id, sensor.topic, reading.temperature, reading.humidity
  FROM reading JOIN sensor ON sensor.id = reading.sensor
  WHERE reading.temperature IS NOT NULL OR reading.humidity IS NOT NULL
  ORDER BY reading.id;
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
