-- Pages bounded in bytes: ten thousand items may hold gigabytes, which one answer shall not.

create function page_text(p_rows text, p_limit integer) returns text
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_row text := format(
    'select ''{"id":'' || to_json(r.id) || '',"datetime":'' || to_json(r.datetime)
       || '',"end_datetime":'' || to_json(r.end_datetime)
       || '',"geometry":'' || coalesce(st_asgeojson(r.geometry, 20), ''null'')
       || '',"content":'' || r.content::text || ''}'' as document
     from (%s) r', p_rows);
  v_found text;
  v_all text[] := '{}';
  v_bytes bigint := 0;
begin
  if p_limit <= 101 then  -- an item is bounded itself
    execute format('select ''['' || string_agg(document, '','') || '']'' from (%s) d', v_row) into v_found;
    return v_found;
  end if;
  for v_found in execute v_row loop
    v_bytes := v_bytes + octet_length(v_found);
    if v_bytes > 32 << 20 and v_all <> '{}' then
      v_all := v_all || 'null'::text;
      exit;
    end if;
    v_all := v_all || v_found;
  end loop;
  return '[' || array_to_string(v_all, ',') || ']';
end $$;
comment on function page_text is
  'A JSON list of what p_rows finds, at most p_limit; a null at its end says that it was cut at 32 MiB.';
revoke all on function page_text from public;
grant execute on function page_text to opstac_stac;

create or replace function search_items(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb,
  p_limit integer, p_offset integer, p_after jsonb, p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_partition text;
  v_where text;
  v_plan jsonb;
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  v_partition := opstac.slot_partition(p_slot);
  v_where := opstac.search_where(p_org, p_projects, p_collections, p_ids, p_search);
  rows := opstac.page_text(format(
    'select id, datetime, end_datetime, geometry, content
           from pgstac.%I where %s and %s order by %s limit %s offset %s',
    v_partition, v_where, case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end,
    search_order(p_search, p_reverse), p_limit, p_offset), p_limit);
  base := pgstac.collection_base_item(p_slot);
  if p_count is not null then
    execute format('select count(*) from (select 1 from pgstac.%I where %s limit %s) c',
                   v_partition, v_where, p_count + 1) into matched;
    estimated := matched > p_count;
    if estimated then
      execute format('explain (format json) select 1 from pgstac.%I where %s', v_partition, v_where) into v_plan;
      matched := greatest(p_count + 1, (v_plan->0->'Plan'->>'Plan Rows')::bigint);
    end if;
  end if;
  return next;
end $$;

create or replace function search_public_items(
  p_collections text[], p_ids text[], p_search jsonb, p_limit integer, p_offset integer, p_after jsonb,
  p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_from text;
  v_slot text;
  v_where text;
  v_plan jsonb;
begin
  -- one arm for each organization that has published something: the plan grows with nothing else
  select string_agg(format(
           'select id, collection, datetime, end_datetime, geometry, content, private from pgstac.%I'
           ' where to_text(content->''properties''->''opstac:collection'') = any (%L)', '_items_' || k.key, s.ids),
           ' union all ' order by s.slot),
         min(s.slot)
    into v_from, v_slot
  from (select p.slot, array_agg(p.id) as ids from opstac.public_collections() p
        where p_collections is null or p.id = any (p_collections) or p.slug = any (p_collections)
        group by p.slot) s
  join pgstac.collections k on k.id = s.slot;
  if v_from is null then
    matched := case when p_count is not null then 0 end;
    estimated := false;
    return next;
    return;
  end if;
  v_where := opstac.search_where(null, null, null, p_ids, p_search);
  rows := opstac.page_text(format(
    'select id, datetime, end_datetime, geometry, content
           from (%s) items where %s and %s order by %s limit %s offset %s',
    v_from, v_where, case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end,
    search_order(p_search, p_reverse), p_limit, p_offset), p_limit);
  base := pgstac.collection_base_item(v_slot);
  if p_count is not null then
    execute format('select count(*) from (select 1 from (%s) items where %s limit %s) c', v_from, v_where, p_count + 1)
      into matched;
    estimated := matched > p_count;
    if estimated then
      execute format('explain (format json) select 1 from (%s) items where %s', v_from, v_where) into v_plan;
      matched := greatest(p_count + 1, (v_plan->0->'Plan'->>'Plan Rows')::bigint);
    end if;
  end if;
  return next;
end $$;

-- Replacing a function forgets its settings.
alter function search_items set max_parallel_workers_per_gather = 0;
alter function search_public_items set max_parallel_workers_per_gather = 0;
