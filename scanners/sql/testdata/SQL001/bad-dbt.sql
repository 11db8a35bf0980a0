{# dialect: dbt #}
select * from {{ ref('raw_orders') }}
