-- dialect: postgresql
CREATE TABLE IF NOT EXISTS users (id bigint, name text);
COMMENT ON TABLE users IS '用户';
COMMENT ON COLUMN users.id IS '编号';
