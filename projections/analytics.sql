-- Analytics: what is summed up and compared over many tasks.

-- What the tasks count for, see domain/trend: each row is a counter. What a task
-- stops to count for is taken away again, and a counter of 0 is no row.
create table rollups (
    quarter     timestamptz not null,        -- begin of the quarter hour in which the log recorded the upload
    project_key uuid not null,               -- trend.ProjectKey
    measure     text not null,
    type        text not null,               -- empty for tasks
    outcome     text not null,
    bin         smallint not null,           -- of the duration, trend.Bin; -1 for none
    n           bigint not null,
    primary key (quarter, project_key, measure, type, outcome, bin)
);

create index rollups_by_project on rollups (project_key, quarter);
create index tasks_by_upload on tasks (uploaded_at);

-- What each attempt that said something of the package said. Attempts with the same
-- scan_key looked at the same package with the same rules and the same configuration.
create table outcomes (
    task_id   uuid not null,
    type      text not null,
    attempt   bigint not null,
    scan_key  uuid not null,
    result    text not null,                 -- PASS, PASS_WITH_WARNINGS, FAILED
    errors    bigint,                        -- null: the scanner gave no summary
    warnings  bigint,
    notes     bigint,
    findings  uuid,                          -- digest of the findings in any order; null where the report could not be read
    ended_at  timestamptz not null,
    position  bigint not null,
    primary key (task_id, type, attempt)
);

create index outcomes_by_key on outcomes (scan_key, position);

-- The scan_keys with more than one outcome. Where they differ, the scan is not
-- deterministic. A key with one outcome needs no row: the outcome says it all.
create table flaky (
    scan_key       uuid primary key,
    type           text not null,
    sha256         text not null,
    rules_digest   text not null,
    config_digest  text not null,
    scans          bigint not null,
    results        text[] not null,          -- the different results with their counts, the first 100 in order
    findings       uuid[] not null,          -- the different digests, likewise
    first_position bigint not null,
    last_position  bigint not null
) with (fillfactor = 85);

create index flaky_newest on flaky (last_position desc) where greatest(cardinality(results), cardinality(findings)) > 1;
