-- Schema version 3: which store this is, and what keeps several rows of one sensor apart.
-- reading.clock may be 3 as well: the reading's time was more than a day ahead of
-- the clock of who stored it, whatever its sender says.

-- One row: 128 random bits. Two stores behind one broker would each get half of what is
-- sent; by this they know each other.
CREATE TABLE store (id bytea NOT NULL CHECK (length(id) = 16));
INSERT INTO store VALUES (decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));

-- part keeps rows of one topic and name apart, each with eight columns of its own. It is 0
-- in all of them: ingest makes no other parts today.
ALTER TABLE sensor ADD COLUMN part integer NOT NULL DEFAULT 0;
ALTER TABLE sensor DROP CONSTRAINT sensor_topic_name_key;
ALTER TABLE sensor ADD UNIQUE (topic, name, part);
