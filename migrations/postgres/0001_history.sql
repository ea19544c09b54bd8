-- The history on PostgreSQL 14 and later, and on Citus. The tables and columns have the names that SQLite's have.
--
-- Times are Unix milliseconds in UTC and end in _ms. Sizes are bytes and end in _bytes. NULL means that no source
-- reported a value. "user" is a word of PostgreSQL: without the quotes it is the role that reads.
--
-- Every text has COLLATE "C": texts are equal and sorted by their bytes, as in SQLite, whatever the collation of the
-- database is. A library of locales that changes its order cannot damage an index.

CREATE TABLE query (
    query_id             text COLLATE "C" PRIMARY KEY,
    id                   bigserial NOT NULL,
    revision             integer NOT NULL DEFAULT 0,
    kind                 text COLLATE "C" NOT NULL CHECK (kind IN ('query', 'load')),
    origin               text COLLATE "C" NOT NULL CHECK (origin IN ('summary', 'audit')),
    state                text COLLATE "C",
    started_ms           bigint,
    ended_ms             bigint,
    duration_ms          bigint,
    "user"               text COLLATE "C",
    client               text COLLATE "C",
    catalog              text COLLATE "C",
    db                   text COLLATE "C",
    statement            text COLLATE "C",
    statement_type       text COLLATE "C",
    command_type         text COLLATE "C",
    statement_id         bigint,
    session_id           text COLLATE "C",
    trace_id             text COLLATE "C",
    is_query             boolean,
    is_nereids           boolean,
    is_internal          boolean,
    is_slow              boolean NOT NULL,
    error_code           bigint,
    error_message        text COLLATE "C",
    scan_rows            bigint,
    scan_bytes           bigint,
    local_scan_bytes     bigint,
    remote_scan_bytes    bigint,
    return_rows          bigint,
    shuffle_send_rows    bigint,
    shuffle_send_bytes   bigint,
    spill_write_bytes    bigint,
    peak_memory_bytes    bigint,
    cpu_time_ms          bigint,
    frontend             text COLLATE "C",
    workload_group       text COLLATE "C",
    compute_group        text COLLATE "C",
    queried_tables       text COLLATE "C",
    sql_hash             text COLLATE "C",
    sql_digest           text COLLATE "C",
    fuzzy_variables      text COLLATE "C",
    queue_time_ms        bigint,
    parse_time_ms        bigint,
    plan_time_ms         bigint,
    schedule_time_ms     bigint,
    cache_hit            boolean,
    spill_read_bytes     bigint,
    chosen_views         text COLLATE "C",
    changed_variables    text COLLATE "C",
    is_start_estimated   boolean NOT NULL DEFAULT false,
    extra                text COLLATE "C",
    fingerprint          bigint,
    is_failed            boolean NOT NULL GENERATED ALWAYS AS (
        coalesce(error_code, 0) <> 0
        OR upper(coalesce(state, '')) IN (
            'ERR', 'ERROR', 'CANCELLED', 'CANCELED', 'FAIL', 'FAILED', 'ABORTED')
    ) STORED
);

COMMENT ON TABLE query IS 'One row for each statement or load, merged from all reports of it';
COMMENT ON COLUMN query.query_id IS 'as Doris writes it, at most 128 characters';
COMMENT ON COLUMN query.id IS
    'order of arrival. Several writers get their ids at once, so that a lower id may be committed later';
COMMENT ON COLUMN query.revision IS
    'how often the row was updated. An update names the revision that it read, so that no writer undoes another';
COMMENT ON COLUMN query.origin IS 'the best report so far';
COMMENT ON COLUMN query.state IS 'EOF, OK, ERR, RUNNING, FINISHED, CANCELLED, ...';
COMMENT ON COLUMN query.client IS 'host:port';
COMMENT ON COLUMN query.statement IS 'in full; annals never truncates it';
COMMENT ON COLUMN query.is_slow IS 'whether a [slow_query] line reported it';
COMMENT ON COLUMN query.frontend IS 'address of the frontend that ran it';
COMMENT ON COLUMN query.queried_tables IS 'tables and views, as Doris lists them';
COMMENT ON COLUMN query.queue_time_ms IS 'waited in its workload group''s queue';
COMMENT ON COLUMN query.parse_time_ms IS 'parsed by the frontend';
COMMENT ON COLUMN query.plan_time_ms IS 'analysed and planned by the frontend';
COMMENT ON COLUMN query.schedule_time_ms IS 'its fragments sent to the backends';
COMMENT ON COLUMN query.cache_hit IS 'whether the frontend answered from its SQL cache';
COMMENT ON COLUMN query.chosen_views IS 'materialized views that the planner chose';
COMMENT ON COLUMN query.changed_variables IS 'JSON object of the session variables that were set';
COMMENT ON COLUMN query.is_start_estimated IS
    'whether started_ms is estimated: the time at which the record was written, less the duration';
COMMENT ON COLUMN query.extra IS
    'JSON object of the keys that have no column. jsonb refuses the character NUL, which a source may send';
COMMENT ON COLUMN query.fingerprint IS
    'of the query''s statement. annals writes it as lpad(to_hex(fingerprint), 16, ''0'')';
COMMENT ON COLUMN query.is_failed IS
    'whether the query failed: it has an error code, or a state of failure. Only this column decides that';

-- What an index holds of a row is at most 2,704 bytes, and a longer text makes the INSERT fail. Users and trace ids
-- come from outside, so that their indexes have only those of up to 1,024 bytes. A statement that looks for such a text
-- says so: "user" = $1 AND octet_length("user") <= 1024. For a longer text it leaves the second condition away, and
-- reads all rows.
--
-- Rows without a start are pages of their own, with started_ms IS NULL. All pages have
-- ORDER BY started_ms DESC, id DESC, without NULLS FIRST or NULLS LAST: PostgreSQL sorts all rows for any other order,
-- also for ORDER BY id DESC of the rows without a start.

-- Lists queries newest first. A page goes on after a row with (started_ms, id) < ($1, $2), or with
-- started_ms IS NULL AND id < $1.
CREATE INDEX query_by_start ON query (started_ms, id);

-- Reads queries in the order of their arrival. The index is not unique: on Citus, each unique index has the query id.
CREATE INDEX query_by_id ON query (id);

-- Lists the newest queries of one user. A user who is no admin sees only these.
CREATE INDEX query_by_user ON query ("user", started_ms, id) WHERE octet_length("user") <= 1024;

-- Finds the queries of a fingerprint: for the page of a statement, and to find out whether a normalized statement still
-- has a query when retention removes old ones.
CREATE INDEX query_by_fingerprint ON query (fingerprint, started_ms, id) WHERE fingerprint IS NOT NULL;

-- Finds the newest query of a trace id, with ORDER BY id DESC.
CREATE INDEX query_by_trace_id ON query (trace_id, id) WHERE octet_length(trace_id) <= 1024;

CREATE TABLE load (
    query_id             text COLLATE "C" PRIMARY KEY REFERENCES query (query_id) ON DELETE CASCADE,
    job_id               text COLLATE "C",
    label                text COLLATE "C",
    load_type            text COLLATE "C",
    table_list           text COLLATE "C",
    file_path_list       text COLLATE "C",
    broker_user          text COLLATE "C",
    file_number          bigint,
    message              text COLLATE "C",
    url                  text COLLATE "C",
    total_rows           bigint,
    loaded_rows          bigint,
    filtered_rows        bigint,
    unselected_rows      bigint,
    load_bytes           bigint
);

COMMENT ON TABLE load IS 'What only a load has. The rest is in its row in query';
COMMENT ON COLUMN load.url IS 'where Doris lists the rejected rows';

CREATE TABLE profile (
    query_id             text COLLATE "C" PRIMARY KEY REFERENCES query (query_id) ON DELETE CASCADE,
    text_bytes           bigint NOT NULL,
    body                 bytea NOT NULL
);

-- A body is compressed already.
ALTER TABLE profile ALTER COLUMN body SET STORAGE EXTERNAL;

COMMENT ON TABLE profile IS 'The profile text of a query';
COMMENT ON COLUMN profile.text_bytes IS 'size of the text, uncompressed';
COMMENT ON COLUMN profile.body IS 'a zlib stream, or the text itself if its length is text_bytes';

CREATE TABLE statement (
    fingerprint          bigint PRIMARY KEY,
    normalized           text COLLATE "C" NOT NULL
);

COMMENT ON TABLE statement IS
    'Normalized statements: a statement without its values, comments and white space. Statements that differ only '
    'in these have one fingerprint';
COMMENT ON COLUMN statement.fingerprint IS 'XXH3 (64 bits) of the whole normalized statement';
COMMENT ON COLUMN statement.normalized IS 'its first 64 KiB';

CREATE TABLE login (
    login_id             text COLLATE "C" PRIMARY KEY,
    id                   bigserial NOT NULL,
    at_ms                bigint NOT NULL,
    "user"               text COLLATE "C",
    client               text COLLATE "C",
    frontend             text COLLATE "C",
    catalog              text COLLATE "C",
    db                   text COLLATE "C",
    succeeded            boolean NOT NULL,
    error_code           bigint,
    error_message        text COLLATE "C",
    extra                text COLLATE "C"
);

COMMENT ON TABLE login IS 'Log-ins that a frontend''s audit log reports, successful and failed ones';
COMMENT ON COLUMN login.login_id IS 'a hash of the record, so that a log-in is stored once';
COMMENT ON COLUMN login.id IS 'order of arrival';
COMMENT ON COLUMN login.client IS 'host:port';
COMMENT ON COLUMN login.extra IS 'JSON object of the keys that have no column';

CREATE INDEX login_by_id ON login (id);
CREATE INDEX login_by_time ON login (at_ms);

CREATE TABLE followed_file (
    head_hash            text COLLATE "C" PRIMARY KEY,
    head_bytes           bigint NOT NULL,
    read_bytes           bigint NOT NULL,
    path                 text COLLATE "C" NOT NULL,
    file_bytes           bigint NOT NULL,
    modified_ms          bigint NOT NULL
);

COMMENT ON TABLE followed_file IS
    'How far annals has read each followed audit log. The hash of its start identifies a file: rolling, copying and '
    'compressing a log change its name, its inode or its bytes on the disk, but not its text';
COMMENT ON COLUMN followed_file.head_hash IS 'XXH3 (128 bits, hex) of the first head_bytes of the text';
COMMENT ON COLUMN followed_file.read_bytes IS 'the records before this offset are stored';
COMMENT ON COLUMN followed_file.path IS 'the last known path';
COMMENT ON COLUMN followed_file.file_bytes IS 'the size on the disk at the last reading';
COMMENT ON COLUMN followed_file.modified_ms IS 'the time of the last change then';

CREATE TABLE stream_load_label (
    db                   text COLLATE "C" NOT NULL,
    label                text COLLATE "C" NOT NULL,
    loaded_ms            bigint NOT NULL,
    token                text COLLATE "C" NOT NULL,
    PRIMARY KEY (db, label)
);

COMMENT ON TABLE stream_load_label IS 'The labels of stream loads. A label of a database is loaded once';
COMMENT ON COLUMN stream_load_label.token IS
    'of the batch that brought the label. A writer whose COMMIT had no answer finds its own token if the batch is '
    'stored';

CREATE INDEX stream_load_label_by_time ON stream_load_label (loaded_ms);

CREATE TABLE account (
    name                 text COLLATE "C" PRIMARY KEY,
    role                 text COLLATE "C" NOT NULL CHECK (role IN ('admin', 'user', 'writer')),
    password_hash        text COLLATE "C" NOT NULL
);

COMMENT ON TABLE account IS
    'The accounts of annals. Without any account, everybody on the machine of annals may read and write';
COMMENT ON COLUMN account.name IS 'the user''s name in Doris';
COMMENT ON COLUMN account.password_hash IS 'argon2id, in the PHC form';

CREATE TABLE retention_clock (
    id                   integer PRIMARY KEY CHECK (id = 1),
    trusted_ms           bigint NOT NULL,
    off_ms               bigint,
    off_for_ms           bigint,
    settled_query        bigint NOT NULL
);

COMMENT ON TABLE retention_clock IS
    'What retention remembers, so that neither a clock that jumps nor a restart makes it delete too much. One row, '
    'written once a minute while annals serves a history with bounds';
COMMENT ON COLUMN retention_clock.trusted_ms IS 'the time by which ages were counted last';
COMMENT ON COLUMN retention_clock.off_ms IS 'the system clock, if more than a day off the trusted time';
COMMENT ON COLUMN retention_clock.off_for_ms IS 'how long annals has run since it is off';
COMMENT ON COLUMN retention_clock.settled_query IS 'the newest query.id that had been stored for a minute then';

CREATE TABLE writer (
    name                 text COLLATE "C" PRIMARY KEY,
    commits              bigint NOT NULL,
    seen_ms              bigint NOT NULL
);

COMMENT ON TABLE writer IS
    'The annals that write this history. Each transaction adds 1 to the commits of its own row; a server whose rows '
    'have not changed has nothing new';
COMMENT ON COLUMN writer.seen_ms IS 'the time of the last commit, by the writer''s clock';

CREATE TABLE lease (
    name                 text COLLATE "C" PRIMARY KEY,
    holder               text COLLATE "C" NOT NULL,
    until_ms             bigint NOT NULL
);

COMMENT ON TABLE lease IS 'What only one annals does at a time, and which one does it';
COMMENT ON COLUMN lease.holder IS 'writer.name of the annals that does it';
COMMENT ON COLUMN lease.until_ms IS 'the time after which another annals may take the lease';

-- On Citus, a query lives on one node with its load and its profile, so that the foreign keys and the joins stay there.
-- Small tables that every node joins or that a transaction updates are on each node.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        -- One transaction distributes several tables with foreign keys.
        PERFORM set_config('citus.multi_shard_modify_mode', 'sequential', true);
        PERFORM create_distributed_table('query', 'query_id', colocate_with => 'none');
        PERFORM create_distributed_table('load', 'query_id', colocate_with => 'query');
        PERFORM create_distributed_table('profile', 'query_id', colocate_with => 'query');
        PERFORM create_distributed_table('login', 'login_id', colocate_with => 'none');
        PERFORM create_distributed_table('followed_file', 'head_hash', colocate_with => 'none');
        PERFORM create_distributed_table('stream_load_label', 'label', colocate_with => 'none');
        PERFORM create_reference_table('statement');
        PERFORM create_reference_table('account');
        PERFORM create_reference_table('retention_clock');
        -- Each writer has a row of its own, and none waits for the row of another.
        PERFORM create_distributed_table('writer', 'name', colocate_with => 'none');
        PERFORM create_reference_table('lease');
    END IF;
END $$;
