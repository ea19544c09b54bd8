-- What the sources remember, so that a restart neither loses nor repeats a record.

-- How far annals has read each followed audit log. The hash of its start identifies a file: rolling, copying
-- and compressing a log change its name, its inode or its bytes on the disk, but not its text.
CREATE TABLE followed_file (
    head_hash      TEXT    PRIMARY KEY,              -- XXH3 (128 bits, hex) of the first head_bytes of the text
    head_bytes     INTEGER NOT NULL,
    read_bytes     INTEGER NOT NULL,                 -- the records before this offset are stored
    path           TEXT    NOT NULL,                 -- the last known path
    file_bytes     INTEGER NOT NULL,                 -- the size on the disk at the last reading
    modified_ms    INTEGER NOT NULL                  -- the time of the last change then
) STRICT, WITHOUT ROWID;

-- The labels of stream loads. A label of a database is loaded once.
CREATE TABLE stream_load_label (
    db             TEXT    NOT NULL,
    label          TEXT    NOT NULL,
    loaded_ms      INTEGER NOT NULL,
    PRIMARY KEY (db, label)
) STRICT, WITHOUT ROWID;

CREATE INDEX stream_load_label_by_time ON stream_load_label (loaded_ms);
