-- The views that readers use. They point at one read model as a whole: the one
-- that the search path names when this is applied.

create schema if not exists live;

create or replace view live.checkpoint as select * from checkpoint;
create or replace view live.tasks as select * from tasks;
create or replace view live.sub_tasks as select * from sub_tasks;
create or replace view live.declines as select * from declines;
create or replace view live.findings as select * from findings;
create or replace view live.facts as select * from facts;
create or replace view live.scanners as select * from scanners;
create or replace view live.dead_letters as select * from dead_letters;
create or replace view live.rollups as select * from rollups;
create or replace view live.outcomes as select * from outcomes;
create or replace view live.flaky as select * from flaky;
