-- dialect: doris
CREATE CATALOG mysql_prod PROPERTIES ("type" = "jdbc", "password" = "${pw}");
