-- dialect: postgresql
CREATE TABLE IF NOT EXISTS users (id bigint);
COMMENT ON COLUMN users.id IS '编号';
