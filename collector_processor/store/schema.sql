-- One row of facts about the whole store. `sequence` counts commits; `newest` is the newest time ever stored.
CREATE TABLE store (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    instance_id TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    newest      INTEGER NOT NULL,
    is_clean    INTEGER NOT NULL
);

CREATE TABLE series (id INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- Points as they came: one row per commit, id = its sequence. Every body ends in a checksum.
CREATE TABLE head (id INTEGER PRIMARY KEY, points BLOB NOT NULL, verdicts BLOB);

-- The same by series, until their block is over: some of 128 neighbours each, id = series >> 7 << 32 | ordinal.
-- `first` and `last` are times, `size` counts points; and the ends of all points of a series there, id = series >> 7.
CREATE TABLE sheet (
    id       INTEGER PRIMARY KEY,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    points   BLOB    NOT NULL,
    verdicts BLOB
);
CREATE TABLE sheet_ends (id INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- Points at rest: one row per (part, series), id = part << 24 | series; a part is 2 hours or a day.
-- `step` says over which step the rollups of a part are complete, 0: over none.
CREATE TABLE part (id INTEGER PRIMARY KEY, points INTEGER NOT NULL, step INTEGER NOT NULL DEFAULT 0);
CREATE TABLE chunk (id INTEGER PRIMARY KEY, times INTEGER NOT NULL, value BLOB NOT NULL, verdicts BLOB);
-- Times that chunks share, id = part << 24 | ordinal, and the ends of chunks, id = part << 24 | series >> 10.
CREATE TABLE times (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE INDEX chunk_times ON chunk (times);
CREATE TABLE summary (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
-- Means over a step, made from chunks in the transaction that writes them, id = part << 24 | series >> 7.
CREATE TABLE rollup (id INTEGER PRIMARY KEY, entries BLOB NOT NULL, levels BLOB NOT NULL);

CREATE TABLE event (id INTEGER PRIMARY KEY, newest INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX event_newest ON event (newest);

CREATE TABLE episode (
    id         TEXT    PRIMARY KEY,
    series     INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    end_time   INTEGER,
    body       BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX episode_start ON episode (start_time);
CREATE INDEX episode_open ON episode (start_time) WHERE end_time IS NULL;

CREATE TABLE incident (
    id         TEXT    PRIMARY KEY,
    start_time INTEGER NOT NULL,
    end_time   INTEGER,
    body       BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX incident_start ON incident (start_time);

-- What people answered to episodes; never deleted.
CREATE TABLE feedback (id TEXT PRIMARY KEY, series INTEGER NOT NULL, given INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX feedback_series ON feedback (series, given);

-- Measurements made in a trace, a few per series and hour.
CREATE TABLE exemplar (
    series INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    trace  BLOB    NOT NULL,
    body   BLOB    NOT NULL,
    PRIMARY KEY (series, time, trace)
) WITHOUT ROWID;
CREATE INDEX exemplar_time ON exemplar (time);

CREATE TABLE model (
    series  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (series, version)
);
CREATE INDEX model_version ON model (version, series);

CREATE TABLE blob (name TEXT PRIMARY KEY, body BLOB NOT NULL);

-- Receipts of the requests that a commit took, id = the number of the last of them.
CREATE TABLE taken (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL);

-- How far each log of the outbox is committed; what is waiting lies in files beside this one.
CREATE TABLE outbox_log (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
