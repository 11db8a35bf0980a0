-- dialect: postgresql
SELECT o.id, i.value FROM orders o CROSS JOIN LATERAL jsonb_array_elements(o.items) i;
SELECT o.id FROM orders o, users u WHERE (o.user_id, o.region) = (u.id, u.region);
