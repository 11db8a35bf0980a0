{{ config(materialized='incremental', unique_key='id') }}
{# it's a note; DELETE FROM t #}
with source as (
    select * from {{ ref('raw_orders') }}
),
renamed as (
    select
        id as order_id,
        {% for m in ['a', 'b'] -%}
        sum(case when method = '{{ m }}' then amount end) as {{ m }}_amount,
        {% endfor %}
        status
    from source
    {% if is_incremental() %}
    where updated_at > (select max(updated_at) from {{ this }})
    {% endif %}
)
select * from renamed
