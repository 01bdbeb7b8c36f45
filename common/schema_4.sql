-- Schema version 4: checksums (FNV-1a, 31 bits), so that a flipped bit in the numbers of a
-- stream is not taken for readings that are stored, or not stored. NULL: none yet, as of what
-- an older version wrote; it comes with the next change of the row. Whoever edits such a row
-- by hand sets sum = NULL.

-- Over stream.stream and node.
ALTER TABLE stream ADD COLUMN sum INTEGER;
-- Over stream, first and last.
ALTER TABLE stream_interval ADD COLUMN sum INTEGER;
-- Over reading. When it does not fit, the next id is looked up anew.
ALTER TABLE next_id ADD COLUMN sum INTEGER;
