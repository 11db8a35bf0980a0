{% macro cleanup(condition) %}
delete from {{ target.schema }}.orders {{ condition }};
delete from {{ target.schema }}.orders;
{% endmacro %}
