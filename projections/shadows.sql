-- How tasks came out under the rule set in their shadow: one row for each task that
-- has one and a verdict. What the row says is what the task's facts up to its position
-- say, as if no more came.
create table shadows (
    task_id        uuid primary key,
    first_position bigint not null,          -- of the task, the order of lists
    project        text not null,
    rule_set       text not null,
    version        bigint not null,
    digest         text not null,
    recorded       text not null,            -- the verdict of the window's end
    status         text,                     -- what the shadow says; null: undecidable
    rule           text,                     -- the first that held
    due_at         timestamptz,              -- the shadow's window closes then and not before; null: it has
    undecidable_en text,
    undecidable_zh text
);
-- Cut, as names in facts have no limit and index entries have one.
create index shadows_newest on shadows (left(rule_set, 100), version, first_position desc);
create index shadows_differing on shadows (left(rule_set, 100), version, first_position desc) where status <> recorded;
