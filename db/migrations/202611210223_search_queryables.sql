-- What the properties of items hold, from a bounded sample.

create function describe_properties(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_sample integer
) returns jsonb
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_found jsonb;
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  execute format(
    $q$with sample as materialized (
      select content->'properties' as properties from pgstac.%I where %s limit %s
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
    opstac.slot_partition(p_slot), opstac.search_where(p_org, p_projects, p_collections, null, '{}'), p_sample)
    into v_found;
  return v_found || jsonb_build_object('summaries', coalesce((
    select jsonb_agg(s.summaries)
    from (select coalesce(c.stac -> 'summaries', '{}') as summaries
          from opstac.collection c
          where c.organization_id = p_org and c.deleted_at is null
            and (p_projects is null or c.project_id = any (p_projects))
            and (p_collections is null or c.id = any (p_collections) or c.slug = any (p_collections))
          limit 100) s
    where jsonb_typeof(s.summaries) = 'object'), '[]'));
end $$;
comment on function describe_properties is
  'Names, types and values of properties in at most p_sample items, and the summaries of their collections.';
revoke all on function describe_properties from public;
grant execute on function describe_properties to opstac_stac;
