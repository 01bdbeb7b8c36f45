-- Schema version 3: which store this is, and what keeps several rows of one sensor apart.
-- reading.clock may be 3 as well: the reading's time was more than a day ahead of
-- the clock of who stored it, whatever its sender says.

-- One row: 128 random bits. Two stores behind one broker would each get half of what is
-- sent; by this they know each other.
CREATE TABLE store (id BLOB NOT NULL CHECK (length(id) = 16));
INSERT INTO store VALUES (randomblob(16));

-- part keeps rows of one topic and name apart, each with eight columns of its own. It is 0
-- in all of them: ingest makes no other parts today.
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
