{# dialect: dbt #}
select o.id from {{ ref('orders') }} o join {{ ref('users') }} u on {{ key('o', 'u') }}
