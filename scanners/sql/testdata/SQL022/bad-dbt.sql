{# dialect: dbt #}
select id from {{ ref('users') }} order by id
