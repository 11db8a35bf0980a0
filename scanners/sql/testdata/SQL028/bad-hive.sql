-- dialect: hive
SELECT a.id FROM t0 a JOIN t1 x1 ON a.id = x1.id JOIN t2 x2 ON a.id = x2.id JOIN t3 x3 ON a.id = x3.id JOIN t4 x4 ON a.id = x4.id JOIN t5 x5 ON a.id = x5.id JOIN t6 x6 ON a.id = x6.id JOIN t7 x7 ON a.id = x7.id JOIN t8 x8 ON a.id = x8.id JOIN t9 x9 ON a.id = x9.id;
