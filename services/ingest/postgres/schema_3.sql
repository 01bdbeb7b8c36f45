-- Schema version 3: which store this is, and sensors with more quantities than a row has
-- columns. reading.clock may be 3 as well: the reading's time was more than a day ahead of
-- the clock of who stored it, whatever its sender says.

-- One row: 128 random bits. Two stores behind one broker would each get half of what is
-- sent; by this they know each other.
CREATE TABLE store (id bytea NOT NULL CHECK (length(id) = 16));
INSERT INTO store VALUES (decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));

-- A sensor of more than eight quantities has further rows here with the same topic and
-- name and part 1, 2 ..., each with eight columns of its own.
ALTER TABLE sensor ADD COLUMN part integer NOT NULL DEFAULT 0;
ALTER TABLE sensor DROP CONSTRAINT sensor_topic_name_key;
ALTER TABLE sensor ADD UNIQUE (topic, name, part);
