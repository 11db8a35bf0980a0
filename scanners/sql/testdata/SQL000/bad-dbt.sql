{# dialect: dbt #}
select id {% if x from {{ ref('orders') }}
