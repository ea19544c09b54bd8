-- The parts of other histories that `annals merge` has merged into this one, so that the next run does not send them again. A part
-- that has changed since has another digest. A row says nothing that the queries do not say: without it, the part is merged again,
-- which changes nothing.
CREATE TABLE merged_part (
    digest         TEXT    PRIMARY KEY               -- XXH3 (128 bits, hex) of all values of the part
) STRICT, WITHOUT ROWID;
