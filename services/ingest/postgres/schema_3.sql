-- Schema version 3: which store this is, and any number of quantities for a sensor.
-- reading.clock may be 3 as well: the reading's time was more than a day ahead of
-- the clock of who stored it, whatever its sender says.

-- One row: 128 random bits. Two stores behind one broker would each get half of what is
-- sent; by this they know each other.
CREATE TABLE store (id bytea NOT NULL CHECK (length(id) = 16));
INSERT INTO store VALUES (decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));

-- A sensor (topic and name) is one row here, part 0, or several: parts 0, 1, 2, ..., each with
-- an id and eight columns of its own, when it has more quantities than one has room for. A
-- reading is a row of `reading` for each part in which it has a value, all with the same ts.
-- Temperature (Cel) and humidity (%RH) are in part 0; columns 0 and 1 of other parts are NULL.
-- A quantity and unit has one column, in one part. Whoever looks for a sensor's values goes
-- by topic and name, and joins `channel` by sensor.id: that finds all parts.
ALTER TABLE sensor ADD COLUMN part integer NOT NULL DEFAULT 0;
ALTER TABLE sensor DROP CONSTRAINT sensor_topic_name_key;
ALTER TABLE sensor ADD UNIQUE (topic, name, part);
