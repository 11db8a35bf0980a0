-- dialect: postgresql
CREATE TABLE IF NOT EXISTS app.users (id bigint);
COMMENT ON TABLE app.users IS '用户';
COMMENT ON COLUMN app.users.id IS '编号';
