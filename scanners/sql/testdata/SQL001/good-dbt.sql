{# dialect: dbt #}
with renamed as (select id as order_id from {{ ref('raw_orders') }})
select * from renamed
