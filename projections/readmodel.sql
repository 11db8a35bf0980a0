-- Read model. Applied once, in one transaction, into an empty schema; a
-- change of these tables is a new number in install.go, and the read model is
-- folded anew.
--
-- Numbers that come from facts are bigint, whatever their sense: a fact may hold
-- any number, and none may stop the fold. JSON that may hold U+0000, which jsonb
-- and text refuse, is json.

create table checkpoint (
    name            text primary key,
    layout          integer not null,
    position        bigint not null,         -- everything up to here is in the tables
    event_at        timestamptz,             -- when the newest event in them was recorded
    moved_at        timestamptz not null default now(),
    events          bigint not null default 0,           -- of Factgate's in the log, up to here
    per_second      double precision not null default 0, -- of them, in the newest batches
    edition         bigint not null default 0,           -- counts what others than the writer have changed
    halted_at       timestamptz,
    halted_position bigint,
    halted_reason   text
);

create table tasks (
    task_id         uuid primary key,
    first_position  bigint not null,         -- of the task's first fact: the order of lists
    phase           text not null,
    status          text,                    -- null until there is a verdict
    project         text not null,
    version         text not null,
    file_name       text not null,
    size            bigint not null,
    sha256          text not null,
    uploaded_by     text not null,
    uploaded_at     timestamptz,
    created_at      timestamptz,
    deadline        timestamptz,             -- created_at + length of the window
    closed_cause    text,
    closed_at       timestamptz,
    closed_position bigint,                  -- of WindowClosed
    converged_at    timestamptz,
    decided_at      timestamptz,             -- when the first verdict was recorded
    verdict_id      uuid,
    verdict         json,                    -- the newest MainTaskConverged
    observed_types  text[] not null,
    last_event_at   timestamptz not null,
    errors          bigint not null,
    warnings        bigint not null,
    notes           bigint not null,
    late            bigint not null,
    revision        bigint not null,         -- of the newest fact
    position        bigint not null,
    rescan_of       uuid,
    cancelled_reason text,
    cancelled_at    timestamptz,
    known           text[],                  -- of MainTaskCreated; null: not written down
    heard           text[] not null          -- the types that spoke in the window
) with (fillfactor = 85);

-- Keyset paging, newest first. The project is cut because an index entry has a
-- limited size and a project's name has none.
create index tasks_newest on tasks (first_position desc);
create index tasks_by_status on tasks (status, first_position desc);
create index tasks_by_project on tasks (left(project, 100), first_position desc);

create index tasks_by_origin on tasks (rescan_of, first_position desc) where rescan_of is not null;

create table sub_tasks (
    task_id         uuid not null,
    type            text not null,
    state           text not null,
    attempt         bigint not null,
    scanner         json not null,
    started_at      timestamptz,
    ended_at        timestamptz,
    result          text,
    kind            text,
    reason          text,
    reason_zh       text,
    parked          boolean not null,
    retry_wanted    boolean not null,
    late            boolean not null,
    errors          bigint,                  -- null: the scanner gave no summary
    warnings        bigint,
    notes           bigint,
    eligible        bigint,                  -- null: the scanner gave no coverage
    seen            bigint,
    degraded        json,
    duration_ms     bigint not null,
    report_key      text,
    report_state    text not null,           -- NONE, READ, MISSING, DAMAGED, EXPIRED
    because_en      text,                    -- why it takes part; null: it did not say
    because_zh      text,
    configuration   json,                    -- task.Configuration; null: the defaults
    primary key (task_id, type)
);

create table declines (
    task_id   uuid not null,
    type      text not null,
    code      text not null,
    reason    text not null,
    reason_zh text not null,
    scanner   json not null,
    at        timestamptz not null,
    late      boolean not null,
    configuration json,
    primary key (task_id, type)
);

create table findings (
    task_id    uuid not null,
    type       text not null,
    ordinal    integer not null,             -- the scanner's own order
    attempt    bigint not null,
    rule       text not null,
    severity   text not null,
    message_en text not null,
    message_zh text not null,
    path       text not null,
    line       bigint not null,
    col        bigint not null,
    end_line   bigint not null,
    end_col    bigint not null,
    cell       text not null,
    pointer    text not null,
    suppressed boolean not null,
    identity   uuid not null,                -- report.Identity: the same in other versions of the package
    suppression json,                        -- report.Suppression; null: none, or nobody said why
    primary key (task_id, type, ordinal)
);

create table scanners (
    type           text primary key,
    first_position bigint not null,
    first_seen_at  timestamptz not null,
    last_position  bigint not null,
    last_seen_at   timestamptz not null,
    online         boolean not null,         -- what the newest fact said
    instance       text not null,            -- who said it
    version        text not null,
    rules_digest   text not null,
    config_digest  text not null,
    enlisted_at    timestamptz,              -- when the type was last put on the roster
    retired_at     timestamptz,              -- null: it was not taken off since
    retired_by     text not null default '',
    retired_reason text not null default ''
);

-- Whether an instance is alive is said by whoever reads: it depends on the time.
create table scanner_instances (
    type          text not null,
    instance      text not null,
    version       text not null,
    rules_digest  text not null,
    config_digest text not null,
    online_at     timestamptz,               -- when it last said that it came
    heard_at      timestamptz,               -- then, or its newest sign of life
    offline_at    timestamptz,               -- when it last said that it goes; no news if older than heard_at
    primary key (type, instance)
);

-- Each delivery that a scanner parked, and what became of it.
create table dead_letters (
    task_id         uuid not null,
    type            text not null,
    attempt         bigint not null,         -- the one that was parked
    parked_position bigint not null,
    parked_at       timestamptz not null,
    reason          text not null,
    reason_zh       text not null,
    scanner         json not null,
    state           text not null,           -- OPEN, REPLAYED, DISCARDED
    settled_at      timestamptz,             -- when it left OPEN
    settled_by      text not null,
    settled_reason  text not null,
    primary key (task_id, type, attempt)
);

create index dead_letters_newest on dead_letters (parked_position desc);
create index dead_letters_open on dead_letters (parked_position desc) where state = 'OPEN';

-- The facts that this read model was folded without.
create table skips (
    position   bigint primary key,
    task_id    uuid,                         -- null for a fact of no task
    event_id   uuid not null,
    stream     text not null,
    revision   bigint not null,
    type       text not null,
    reason     text not null,
    skipped_by text not null
);

create index skips_by_task on skips (task_id);
