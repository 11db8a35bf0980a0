{# dialect: dbt #}
select id, {{ cols }} from {{ ref('a') }} union all select id from {{ ref('b') }}
