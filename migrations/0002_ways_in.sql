-- What the ways in remember, so that nothing is lost or doubled through a restart.

-- How far each followed audit log was read. A file is known by its start, not by its name: rolling,
-- copying and compressing a log change its name, its inode or its bytes on the disk, but not its text.
CREATE TABLE followed_file (
    head_hash      TEXT    PRIMARY KEY,              -- XXH3 (128 bits, hex) of the first head_bytes of the text
    head_bytes     INTEGER NOT NULL,
    read_bytes     INTEGER NOT NULL,                 -- the text before this is in the history
    path           TEXT    NOT NULL,                 -- where the file was last
    file_bytes     INTEGER NOT NULL,                 -- its size on the disk then
    modified_ms    INTEGER NOT NULL                  -- and when it was changed
) STRICT, WITHOUT ROWID;

-- The labels of stream loads, each of which counts once.
CREATE TABLE stream_load_label (
    db             TEXT    NOT NULL,
    label          TEXT    NOT NULL,
    loaded_ms      INTEGER NOT NULL,
    PRIMARY KEY (db, label)
) STRICT, WITHOUT ROWID;

CREATE INDEX stream_load_label_by_time ON stream_load_label (loaded_ms);
