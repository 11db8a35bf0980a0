{# dialect: dbt #}
insert into {{ this }} (a, b) select a, {{ dbt_utils.star(ref('x')) }} from {{ ref('y') }}
