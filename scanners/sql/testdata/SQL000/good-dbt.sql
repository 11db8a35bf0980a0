{# dialect: dbt #}
select id {% if x %}, y {% endif %} from {{ ref('orders') }}
