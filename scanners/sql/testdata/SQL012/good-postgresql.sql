-- dialect: postgresql
ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES users (a) ON DELETE CASCADE;
