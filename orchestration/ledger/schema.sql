-- The ledger. Rows of batches, files, catalogs, documents and journal are never updated or deleted.
-- Tapes and deliveries follow their sources. A seal is a keyed hash of its row.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE batches (
    batch_id INTEGER PRIMARY KEY,
    now_us INTEGER NOT NULL,
    skew_us INTEGER NOT NULL,
    parser_version TEXT NOT NULL,
    -- Over the row, its files with their mappings, and the hash of the batch before.
    hash TEXT NOT NULL
) STRICT;

CREATE TABLE mappings (hash TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;

CREATE TABLE files (
    file_id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES batches,
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    format TEXT NOT NULL,
    mapping_hash TEXT NOT NULL REFERENCES mappings,
    tape_id TEXT,
    first_line INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    conflict INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    blank INTEGER NOT NULL,
    min_us INTEGER,
    max_us INTEGER,
    -- A retry moves lines of an earlier row out of quarantine: none is new, and that row stays as it is.
    retry_of INTEGER REFERENCES files,
    retry_reason TEXT,
    seal TEXT NOT NULL,
    CHECK (lines = accepted + duplicate + conflict + quarantined + blank),
    CHECK (CASE WHEN retry_of IS NULL THEN quarantined >= 0 ELSE lines = 0 AND blank = 0 AND quarantined < 0 END)
) STRICT;
CREATE UNIQUE INDEX files_by_bytes ON files (stream, sha256) WHERE retry_of IS NULL;
CREATE INDEX files_by_retry ON files (retry_of) WHERE retry_of IS NOT NULL;

CREATE TABLE tapes (
    tape_id TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    consumed_bytes INTEGER NOT NULL,
    consumed_lines INTEGER NOT NULL,
    prefix_sha TEXT NOT NULL,
    path TEXT NOT NULL,
    file_id INTEGER NOT NULL REFERENCES files,
    seal TEXT NOT NULL
) STRICT;
CREATE INDEX tapes_by_head ON tapes (stream, head_sha);
CREATE INDEX tapes_by_path ON tapes (stream, path);

CREATE TABLE deliveries (
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('taken', 'duplicate_of', 'held')),
    reason TEXT NOT NULL,
    seen_us INTEGER NOT NULL,
    tag TEXT NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (source, path)
) STRICT;

CREATE TABLE raw_references (
    sha256 TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    version TEXT NOT NULL,
    etag TEXT NOT NULL,
    size INTEGER NOT NULL,
    store_json TEXT NOT NULL,
    seal TEXT NOT NULL
) STRICT;

CREATE TABLE catalogs (hash TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE documents (
    number TEXT PRIMARY KEY,
    series TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit_note', 'debit_note')),
    entity TEXT NOT NULL,
    customer TEXT NOT NULL,
    currency TEXT NOT NULL,
    cut_off TEXT NOT NULL,
    issue_date TEXT NOT NULL,
    journal_seq INTEGER NOT NULL REFERENCES journal DEFERRABLE INITIALLY DEFERRED,
    body BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    -- The original that a note was made for; empty on the one document of a cut-off that bills what is due.
    corrects TEXT NOT NULL,
    UNIQUE (series, sequence),
    UNIQUE (entity, customer, currency, cut_off, corrects),
    CHECK (corrects = '' OR kind <> 'invoice')
) STRICT;

CREATE TRIGGER batches_are_final BEFORE UPDATE ON batches BEGIN SELECT RAISE(ABORT, 'batches are never changed'); END;
CREATE TRIGGER batches_stay BEFORE DELETE ON batches BEGIN SELECT RAISE(ABORT, 'batches are never deleted'); END;
CREATE TRIGGER files_are_final BEFORE UPDATE ON files BEGIN SELECT RAISE(ABORT, 'files are never changed'); END;
CREATE TRIGGER files_stay BEFORE DELETE ON files BEGIN SELECT RAISE(ABORT, 'files are never deleted'); END;
CREATE TRIGGER mappings_are_final BEFORE UPDATE ON mappings BEGIN SELECT RAISE(ABORT, 'mappings are never changed'); END;
CREATE TRIGGER mappings_stay BEFORE DELETE ON mappings BEGIN SELECT RAISE(ABORT, 'mappings are never deleted'); END;
CREATE TRIGGER raw_references_are_final BEFORE UPDATE ON raw_references
BEGIN SELECT RAISE(ABORT, 'raw references are never changed'); END;
CREATE TRIGGER raw_references_stay BEFORE DELETE ON raw_references
BEGIN SELECT RAISE(ABORT, 'raw references are never deleted'); END;
CREATE TRIGGER catalogs_are_final BEFORE UPDATE ON catalogs BEGIN SELECT RAISE(ABORT, 'catalogs are never changed'); END;
CREATE TRIGGER catalogs_stay BEFORE DELETE ON catalogs BEGIN SELECT RAISE(ABORT, 'catalogs are never deleted'); END;
CREATE TRIGGER documents_are_final BEFORE UPDATE ON documents BEGIN SELECT RAISE(ABORT, 'documents are never changed'); END;
CREATE TRIGGER documents_stay BEFORE DELETE ON documents BEGIN SELECT RAISE(ABORT, 'documents are never deleted'); END;
CREATE TRIGGER journal_is_final BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is never changed'); END;
CREATE TRIGGER journal_stays BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is never deleted'); END;

-- `INSERT OR REPLACE` deletes without a delete trigger.
CREATE TRIGGER batches_once BEFORE INSERT ON batches WHEN EXISTS (SELECT 1 FROM batches WHERE batch_id = NEW.batch_id)
BEGIN SELECT RAISE(ABORT, 'batches are never replaced'); END;
CREATE TRIGGER files_once BEFORE INSERT ON files
WHEN EXISTS (
    SELECT 1 FROM files WHERE file_id = NEW.file_id
    OR (stream = NEW.stream AND sha256 = NEW.sha256 AND retry_of IS NULL AND NEW.retry_of IS NULL)
)
BEGIN SELECT RAISE(ABORT, 'files are never replaced'); END;
CREATE TRIGGER retries_take_what_is_quarantined BEFORE INSERT ON files
WHEN NEW.retry_of IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM files AS f
    WHERE f.file_id = NEW.retry_of AND f.retry_of IS NULL AND f.stream = NEW.stream AND f.sha256 = NEW.sha256
    AND f.quarantined + NEW.quarantined
    + (SELECT coalesce(sum(r.quarantined), 0) FROM files AS r WHERE r.retry_of = f.file_id) >= 0
)
BEGIN SELECT RAISE(ABORT, 'a retry takes no line that is not quarantined'); END;
CREATE TRIGGER mappings_once BEFORE INSERT ON mappings WHEN EXISTS (SELECT 1 FROM mappings WHERE hash = NEW.hash)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER raw_references_once BEFORE INSERT ON raw_references
WHEN EXISTS (SELECT 1 FROM raw_references WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER catalogs_once BEFORE INSERT ON catalogs WHEN EXISTS (SELECT 1 FROM catalogs WHERE hash = NEW.hash)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER journal_once BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq OR hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'the journal is never replaced'); END;
CREATE TRIGGER documents_once BEFORE INSERT ON documents
WHEN EXISTS (
    SELECT 1 FROM documents WHERE number = NEW.number OR (series = NEW.series AND sequence = NEW.sequence)
    OR (
        entity = NEW.entity AND customer = NEW.customer AND currency = NEW.currency AND cut_off = NEW.cut_off
        AND corrects = NEW.corrects
    )
)
BEGIN SELECT RAISE(ABORT, 'documents are never replaced'); END;
