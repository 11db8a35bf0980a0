{# dialect: dbt #}
select o.id from {{ ref('orders') }} o cross join {{ ref('users') }} u
