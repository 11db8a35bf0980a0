-- What the coordinator keeps in Postgres. A projection: it may be dropped at any
-- time and is filled again from the log.
create schema if not exists coordinator;

create table if not exists coordinator.windows (
    task_id     uuid primary key,
    -- The earliest moment at which the window can be over, on the store's clock.
    due_at      timestamptz not null,
    deadline    timestamptz not null,
    quiet       interval    not null,
    -- The newest fact of the task that this row knows.
    position    bigint      not null
);
create index if not exists windows_due on coordinator.windows (due_at);

create table if not exists coordinator.checkpoint (
    one      boolean primary key default true check (one),
    position bigint  not null
);
-- The position before the newest batch.
alter table coordinator.checkpoint add column if not exists previous bigint not null default 0;
insert into coordinator.checkpoint (position) values (0) on conflict do nothing;
