-- Aggregations and queryables of what is public, for callers without a credential.

create function public_source(p_collections text[]) returns text
language sql stable set search_path = opstac, pgstac, public as $$
  -- one arm for each organization that has published something: the plan grows with nothing else
  select '(' || string_agg(format(
           'select id, datetime, end_datetime, geometry, content from pgstac.%I'
           ' where to_text(content->''properties''->''opstac:collection'') = any (%L)', '_items_' || k.key, s.ids),
           ' union all ' order by s.slot) || ') published'
  from (select p.slot, array_agg(p.id) as ids from opstac.public_collections() p
        where p_collections is null or p.id = any (p_collections) or p.slug = any (p_collections)
        group by p.slot) s
  join pgstac.collections k on k.id = s.slot
$$;
comment on function public_source is 'SQL for the items of public collections, of those named or of all; null for none.';

create function aggregate_public_items(p_collections text[], p_ids text[], p_search jsonb, p_aggregations jsonb)
returns jsonb
language sql stable set search_path = opstac, pgstac, public as $$
  select aggregate_over(
    coalesce(public_source(p_collections), '(select id, datetime, end_datetime, geometry, content from pgstac.items'
                                           ' where false) published'),
    search_where(null, null, null, p_ids, p_search), p_aggregations)
$$;
comment on function aggregate_public_items is 'Aggregations over what search_public_items finds with the same parameters.';

create function describe_over(p_from text, p_where text, p_sample integer) returns jsonb
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_found jsonb;
begin
  execute format(
    $q$with sample as materialized (
      select content->'properties' as properties from %s where %s limit %s
    ),
    held as (
      select p.key as name, jsonb_typeof(p.value) as kind, p.value
      from sample cross join lateral jsonb_each(sample.properties) p
    ),
    described as (
      select name, jsonb_agg(distinct kind) as types,
             min(case kind when 'number' then value::float8 end) as minimum,
             max(case kind when 'number' then value::float8 end) as maximum,
             bool_and(value::numeric %% 1 = 0) filter (where kind = 'number') as integers,
             bool_and(json_instant(value) is not null and length(value #>> '{}') > 10)
               filter (where kind = 'string') as times,
             -- a list of few texts is one only where some come again
             count(distinct value) filter (where kind = 'string') as texts, count(*) as items
      from held group by name order by count(*) desc, name limit 500
    )
    select jsonb_build_object(
      'items', (select count(*) from sample),
      'properties', coalesce((select jsonb_agg(jsonb_build_object(
        'name', d.name, 'types', d.types, 'minimum', d.minimum, 'maximum', d.maximum, 'integers', d.integers,
        'times', d.times,
        'texts', case when d.texts <= 25 and d.texts < d.items then (
          select jsonb_agg(distinct h.value) from held h where h.name = d.name and h.kind = 'string') end
        )) from described d), '[]'))$q$,
    p_from, p_where, p_sample) into v_found;
  return v_found;
end $$;

create or replace function describe_properties(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_sample integer
) returns jsonb
language plpgsql volatile set search_path = opstac, pgstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return describe_over(
    format('pgstac.%I', opstac.slot_partition(p_slot)),
    opstac.search_where(p_org, p_projects, p_collections, null, '{}'), p_sample)
  || jsonb_build_object('summaries', coalesce((
    select jsonb_agg(s.summaries)
    from (select coalesce(c.stac -> 'summaries', '{}') as summaries
          from opstac.collection c
          where c.organization_id = p_org and c.deleted_at is null
            and (p_projects is null or c.project_id = any (p_projects))
            and (p_collections is null or c.id = any (p_collections) or c.slug = any (p_collections))
          limit 100) s
    where jsonb_typeof(s.summaries) = 'object'), '[]'));
end $$;

create function describe_public_properties(p_collections text[], p_sample integer) returns jsonb
language sql stable set search_path = opstac, pgstac, public as $$
  select case when public_source(p_collections) is null then '{"items": 0, "properties": []}'
              else describe_over(public_source(p_collections), 'true', p_sample) end
  || jsonb_build_object('summaries', coalesce((
    select jsonb_agg(s.summaries)
    from (select coalesce(c.stac -> 'summaries', '{}') as summaries
          from opstac.public_collections() c
          where p_collections is null or c.id = any (p_collections) or c.slug = any (p_collections)
          limit 100) s
    where jsonb_typeof(s.summaries) = 'object'), '[]'))
$$;
comment on function describe_public_properties is 'What describe_properties tells, of public collections.';

revoke all on function public_source, aggregate_public_items, describe_over, describe_public_properties from public;
grant execute on function public_source, aggregate_public_items, describe_over, describe_public_properties
  to opstac_stac;
