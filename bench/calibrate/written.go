package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
)

// No public corpus of Hive and Spark SQL can be had from the registries, so these are
// written by us: shapes of statements as warehouses run them, filled with names and
// expressions. All of them are right, so any error that is found in them is a false
// alarm.

func hive(context.Context) ([]file, error) { return written("hive", hiveShapes), nil }
func spark(context.Context) ([]file, error) {
	return written("spark", append(sparkShapes, hiveShapes[:len(hiveShapes)/2]...)), nil
}

const (
	perFile      = 25
	writtenFiles = 100
)

func written(dialect string, shapes []string) (files []file) {
	rnd := rand.New(rand.NewPCG(7, uint64(len(shapes)))) // the same texts each time
	for i := range writtenFiles {
		var b strings.Builder
		fmt.Fprintf(&b, "-- %s: batch %d\n", dialect, i)
		for range perFile {
			b.WriteString(fill(rnd, shapes[rnd.IntN(len(shapes))], 0))
			b.WriteString(";\n")
		}
		files = append(files, file{fmt.Sprintf("written-%03d.sql", i), b.String()})
	}
	return files
}

// fill replaces each <word> by one of its choices.
func fill(rnd *rand.Rand, shape string, depth int) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(shape, "<")
		word, after, closed := strings.Cut(rest, ">")
		list := choices[word]
		if !ok || !closed || list == nil {
			if !ok {
				out.WriteString(shape)
				return out.String()
			}
			out.WriteString(before + "<")
			shape = rest
			continue
		}
		out.WriteString(before)
		choice := list[rnd.IntN(len(list))]
		if depth > 3 {
			choice = list[0]
		}
		out.WriteString(fill(rnd, choice, depth+1))
		shape = after
	}
}

var choices = map[string][]string{
	"layer": {"ods", "dwd", "dws", "dim", "ads", "tmp"},
	"noun":  {"order", "user", "pay", "refund", "item", "shop", "coupon", "login", "device", "risk_event"},
	"table": {"dwd_<noun>_di", "dws_<noun>_1d", "dim_<noun>", "ods_<noun>_df", "dw.dwd_<noun>_di", "`dw`.`dwd_<noun>_di`", "${hivevar:db}.dwd_<noun>_di"},
	"col":   {"order_id", "user_id", "amount", "city_name", "`level`", "gmt_create", "status", "cnt_7d", "t1_score"},
	"date":  {"'${bizdate}'", "'${yyyyMMdd}'", "'$[yyyyMMdd-1]'", "'{{ ds_nodash }}'", "${hiveconf:dt}", "date_sub(current_date, 1)", "'$(yyyyMMdd)'"},
	"value": {"1", "'paid'", "0.5", "'it\\'s'", "-3", "1e6", "current_date()", "\"double\"", "'半角；全角'"},
	"fn":    {"nvl(<col>, 0)", "coalesce(<col>, <value>)", "cast(<col> as bigint)", "substr(<col>, 1, 10)", "regexp_replace(<col>, '\\\\d+', '')", "get_json_object(ext, '$.a.b')", "from_unixtime(unix_timestamp(<col>), 'yyyy-MM-dd')", "concat_ws(',', <col>, <col>)", "if(<col> > 0, 1, 0)", "case when <cond> then <value> else <value> end", "split(<col>, ',')[0]", "size(collect_set(<col>))"},
	"agg":   {"count(*)", "sum(<col>)", "count(distinct user_id)", "max(<fn>)", "round(avg(amount), 2)", "sum(case when <cond> then 1 else 0 end)", "percentile_approx(amount, 0.5)"},
	"win":   {"row_number() over (partition by user_id order by gmt_create desc)", "sum(amount) over (partition by city_name order by dt rows between 6 preceding and current row)", "lag(amount, 1, 0) over (partition by user_id order by dt)", "dense_rank() over (order by amount desc)"},
	"cond":  {"status = 'paid'", "amount between 1 and 100", "user_id is not null", "status in ('a', 'b', 'c')", "city_name like 'shang%'", "city_name rlike '^a.*b$'", "not (amount < 0 or amount > 1000)", "nvl(<col>, '') <> ''", "length(<col>) >= 2", "<col> <=> <value>"},
	"type":  {"string", "bigint", "decimal(18, 2)", "array<string>", "map<string, bigint>", "struct<a: int, b: array<string>>", "timestamp", "double"},
	"query": {"select <col> from <table> where dt = <date> and <cond>", "select a.user_id, <agg> as m from <table> a where a.dt = <date> group by a.user_id", "select user_id, <win> as rn from <table> where dt = <date>"},
}

var hiveShapes = []string{
	"insert overwrite table dwd_<noun>_di partition (dt = <date>)\nselect user_id, <fn> as x, <fn> as y\nfrom ods_<noun>_df\nwhere dt = <date> and <cond>",
	"insert overwrite table dws_<noun>_1d partition (dt = <date>)\nselect a.user_id, <agg> as m, <agg> as n\nfrom dwd_<noun>_di a\nleft join dim_<noun> b on a.user_id = b.user_id and b.dt = <date>\nwhere a.dt = <date>\ngroup by a.user_id\nhaving count(*) > 1",
	"select a.user_id, b.city_name\nfrom <table> a, dim_city b\nwhere a.city_id = b.city_id and a.dt = <date> and <cond>",
	"with t1 as (\n  <query>\n), t2 as (\n  <query>\n)\ninsert overwrite table ads_<noun>_1d partition (dt = <date>)\nselect t1.*, t2.*\nfrom t1 join t2 on t1.user_id = t2.user_id",
	"select <col>, <win> as rn from (\n  <query>\n) s where s.<col> = <value>",
	"select user_id, tag from <table> lateral view explode(split(tags, ',')) v as tag where dt = <date>",
	"select user_id, k, v from <table> lateral view outer posexplode(features) f as k, v where dt = <date> and <cond>",
	"create table if not exists <layer>_<noun>_di (\n  user_id bigint comment '用户',\n  x <type> comment 'x; y',\n  y <type>\n) comment '<noun> 明细'\npartitioned by (dt string, hh string)\nrow format delimited fields terminated by '\\001' collection items terminated by ','\nstored as orc\ntblproperties ('orc.compress' = 'SNAPPY')",
	"create external table if not exists ods_<noun>_df (line string) partitioned by (dt string) row format serde 'org.apache.hadoop.hive.serde2.OpenCSVSerde' with serdeproperties ('separatorChar' = '\\t') stored as textfile location 'hdfs://nn/warehouse/<noun>'",
	"alter table dwd_<noun>_di add if not exists partition (dt = <date>) location '/warehouse/<noun>'",
	"msck repair table ods_<noun>_df",
	"from ods_<noun>_df s\ninsert overwrite table dwd_<noun>_di partition (dt = <date>) select s.user_id, s.amount where s.dt = <date> and s.amount > 0\ninsert overwrite table tmp_<noun> partition (dt = <date>) select s.user_id, s.amount where s.dt = <date> and s.amount <= 0",
	"select /*+ mapjoin(b) */ a.user_id, b.city_name from <table> a join dim_city b on a.city_id = b.city_id where a.dt = <date>",
	"select <agg> as m from (\n  <query>\n  union all\n  <query>\n) u",
	"set hive.exec.dynamic.partition.mode = nonstrict",
	"set mapreduce.job.queuename = root.etl",
	"select transform (user_id, amount) using 'python3 clean.py' as (user_id bigint, amount double) from <table> where dt = <date>",
	"select a.user_id from <table> a left semi join tmp_<noun> b on a.user_id = b.user_id where a.dt = <date>",
	"select city_name, <agg> as m from <table> where dt = <date> group by city_name, status grouping sets ((city_name, status), city_name, ())",
	"select user_id, amount from <table> where dt = <date> distribute by user_id sort by user_id, amount desc",
	"analyze table dwd_<noun>_di partition (dt = <date>) compute statistics for columns",
	"create view if not exists v_<noun> as <query>",
	"create temporary function my_udf as 'com.example.MyUdf' using jar 'hdfs:///udf/my.jar'",
	"load data inpath '/in/<noun>' overwrite into table ods_<noun>_df partition (dt = <date>)",
	"insert into table tmp_<noun> (user_id, amount) values (1, 2.5), (2, null)",
	"select user_id from <table> tablesample (10 percent) s where dt = <date> order by user_id limit 100",
	"drop table if exists tmp_<noun>",
	"explain extended <query>",
	"select count(*) from <table> where dt >= <date> and dt <= <date>",
	"select if(a.user_id is null, concat('r', rand()), a.user_id) k, a.amount from <table> a where a.dt = <date>",
}

var sparkShapes = []string{
	"create or replace temporary view v_<noun> as\n<query>",
	"create table if not exists dwd_<noun>_di (user_id bigint comment 'u', amount decimal(18, 2) comment 'a', dt string comment 'd') using parquet partitioned by (dt) comment '<noun>'",
	"create table if not exists lake.<noun> (id bigint comment 'i', ts timestamp comment 't') using iceberg partitioned by (days(ts), bucket(16, id)) comment 'x'",
	"insert overwrite table dwd_<noun>_di partition (dt) select /*+ REPARTITION(8) */ user_id, amount, <date> as dt from ods_<noun>_df where dt = <date>",
	"merge into lake.<noun> t using (select id, ts from staging_<noun>) s on t.id = s.id when matched then update set t.ts = s.ts when not matched then insert (id, ts) values (s.id, s.ts)",
	"select * from (select city_name, status, amount from <table> where dt = <date>) pivot (sum(amount) for status in ('a' as a, 'b' as b))",
	"select transform(array(1, 2, 3), x -> x + 1) as xs, filter(tags, t -> t is not null) as ts, aggregate(xs, 0, (acc, x) -> acc + x) as total from <table> where dt = <date>",
	"select /*+ BROADCAST(b) */ a.user_id, b.name from <table> a join dim_<noun> b on a.user_id = b.user_id where a.dt = <date>",
	"cache table hot_<noun> as <query>",
	"select a.user_id, sum(a.amount) filter (where a.amount > 0) as pos from <table> a where a.dt = <date> group by a.user_id",
	"select user_id, count(*) as n from <table> where dt = <date> group by all",
	"select stack(2, 'a', a, 'b', b) as (k, v) from <table> where dt = <date>",
	"select named_struct('a', 1, 'b', 'x').a as a, map('k', 1)['k'] as k from <table> where dt = <date>",
	"select * except (ext) from v_<noun>",
	"optimize lake.<noun> zorder by (user_id)",
	"select user_id, amount from <table> timestamp as of '2024-01-01' where dt = <date>",
	"refresh table dwd_<noun>_di",
	"select inline(arrays_zip(a, b)) from <table> where dt = <date>",
	"select date_trunc('month', gmt_create) as m, <agg> as x from <table> where dt = <date> group by 1",
	"select try_cast(ext as int) x, ext:items[0].price::double as p from <table> where dt = <date>",
}
