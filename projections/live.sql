-- The views that readers use. They point at one read model as a whole.

create schema if not exists live;

create or replace view live.checkpoint as select * from rm_1.checkpoint;
create or replace view live.tasks      as select * from rm_1.tasks;
create or replace view live.sub_tasks  as select * from rm_1.sub_tasks;
create or replace view live.declines   as select * from rm_1.declines;
create or replace view live.findings   as select * from rm_1.findings;
create or replace view live.facts      as select * from rm_1.facts;
create or replace view live.scanners   as select * from rm_1.scanners;
create or replace view live.scanner_instances as select * from rm_1.scanner_instances;
create or replace view live.dead_letters as select * from rm_1.dead_letters;
