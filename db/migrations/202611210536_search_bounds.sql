-- What a search may cost is known before it is begun: an order that no index has is refused where too many items would
-- be sorted for a page. Callers without a credential walk along the order as members do. Aggregations read each item
-- once, whatever is asked of it.

-- ---------------------------------------------------------------- orders that no index has

create function most_sorted() returns bigint
language sql stable as $$ select coalesce(nullif(current_setting('opstac.most_sorted', true), '')::bigint, 200000) $$;
comment on function most_sorted is 'How many items a search may sort for one page.';

create function refuse_long_sort(p_page text, p_search jsonb) returns void
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_plan jsonb;
  v_items numeric;
begin
  execute 'explain (format json) ' || p_page into v_plan;
  -- an order that begins with an index's is an "Incremental Sort", and ends with its page
  select max((n #>> '{}')::numeric) into v_items
  from jsonb_path_query(v_plan, '$.** ? (@."Node Type" == "Sort")."Plan Rows"') n;
  if v_items > most_sorted() then
    raise exception using errcode = 'OP006', message = format(
      'about %s items match, and at most %s are put in order by %s: name a collection, a time or a place that '
      'fewer match, or order by datetime, updated, eo:cloud_cover or id, which is quick for any number',
      round(v_items), most_sorted(),
      (select string_agg(left(replace(s.field ->> 'field', 'opstac:', ''), 60), ', ' order by s.n)
       from jsonb_array_elements(p_search -> 'sortby') with ordinality s (field, n)));
  end if;
end $$;
comment on function refuse_long_sort is
  'Raises OP006 where the planner expects the query of a page to sort more than most_sorted() items.';

create or replace function search_collections(p_org text, p_names text[]) returns text[]
language sql stable set search_path = opstac, public as $$
  -- a slug is the id of nothing else, so it stands for its collection alone: one equality keeps the order of an index
  select case when p_names is not null then array(
    select distinct coalesce(c.id, n)
    from unnest(p_names) n
    left join opstac.collection c on c.organization_id = p_org and c.slug = n and c.deleted_at is null) end
$$;

create or replace function search_items(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb,
  p_limit integer, p_offset integer, p_after jsonb, p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean, at_least bigint)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_columns text := 'id, datetime, end_datetime, geometry, content';
  v_sorted boolean := p_search ? 'sortby';
  v_more boolean := p_search ?| array['intersects', 'filter'] or p_ids is not null;
  v_order text := search_order(p_search, p_reverse);
  v_after text := case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end;
  v_times text[] := time_tests(p_search);
  v_from text;
  v_in text;  -- the tests of collection and project that stand in every query
  v_each text[];  -- one of these besides
  v_rest text;
  v_arms text[];
  v_page text;
  v_items integer;
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  -- the planner thinks so dear of PostGIS that it reads hundreds of thousands of entries of other indexes
  -- to save some calls; ids need two indexes at once
  perform set_config('enable_bitmapscan', case when p_ids is null then 'off' else 'on' end, true);
  v_from := format('pgstac.%I', opstac.slot_partition(p_slot));
  p_collections := search_collections(p_org, p_collections);
  v_in := key_test('opstac:collection', p_collections);
  v_rest := search_where(p_org, p_projects, null, p_ids, p_search - 'datetime');
  -- collections, or the few projects of a caller, are looked at one by one: going through all of the slot
  -- in order until enough of them turn up takes as long as they lie apart. Where more is asked of an item than
  -- its time, each would look for a page of its own
  v_each := case
    when v_sorted or v_more then array[v_in]
    when cardinality(p_collections) between 2 and 100
      then array(select key_test('opstac:collection', array[k]) from unnest(p_collections) k)
    when p_collections is null and cardinality(p_projects) between 2 and 16
      then array(select key_test('opstac:project', array[k]) from unnest(p_projects) k)
    else array[v_in] end;
  if not v_sorted and p_ids is null
     and (v_more or cardinality(p_projects) > 16 or cardinality(p_collections) > 100) then
    select p.documents, p.items into rows, v_items
    from page_in_order(
      v_from,
      array(select concat_ws(' and ', t, v_in, v_after) from unnest(v_times) t),
      array(select format('select %s from %s where %s and %s and %s', v_columns, v_from, t, k, v_after)
            from unnest(v_times) t, unnest(case when cardinality(p_collections) > 1 and v_each = array[v_in]
                                                then array['true'] else v_each end) k),
      case when cardinality(p_collections) > 1 and v_each = array[v_in] then concat_ws(' and ', v_rest, v_in)
           else v_rest end,
      v_order, p_limit, p_offset) p;
  else
    v_arms := array(
      select format('select %s from %s where %s and %s and %s and %s', v_columns, v_from, t, k, v_after,
                    -- the project is tested already
                    case when p_collections is null and cardinality(v_each) > 1
                         then search_where(p_org, null, null, p_ids, p_search - 'datetime') else v_rest end)
      from unnest(v_times) t, unnest(v_each) k);
    v_page := page_query(v_arms, v_order, p_limit, p_offset);
    if v_sorted then
      perform refuse_long_sort(v_page, p_search);
    end if;
    select p.documents, p.items into rows, v_items from page_rows(v_page, p_limit) p;
  end if;
  base := pgstac.collection_base_item(p_slot);
  if p_count is not null then
    if v_items < p_limit and p_after is null and (v_items > 0 or p_offset = 0) then
      matched := p_offset + v_items;
      estimated := false;
      at_least := matched;
    else
      select c.matched, c.estimated, c.at_least into matched, estimated, at_least
      from search_count(
        one_by_one('1', v_from, v_times, v_in || ' and ' || v_rest),
        -- the planner takes projects that hold everything for ones that overlap, and expects two thirds
        case when cardinality(p_projects) > 1 then array(
          select one_by_one('1', v_from, v_times, v_in || ' and '
                            || search_where(p_org, half, null, p_ids, p_search - 'datetime'))
          from (values (p_projects[: cardinality(p_projects) / 2]), (p_projects[cardinality(p_projects) / 2 + 1 :])) h (half))
        end,
        p_count, case when v_items > 0 then p_offset else 0 end + v_items) c;
    end if;
  end if;
  return next;
end $$;

create or replace function search_public_items(
  p_collections text[], p_ids text[], p_search jsonb, p_limit integer, p_offset integer, p_after jsonb,
  p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean, at_least bigint)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_columns text := 'id, datetime, end_datetime, geometry, content';
  v_sorted boolean := p_search ? 'sortby';
  v_more boolean := p_search ?| array['intersects', 'filter'];
  v_walk boolean := v_more and not v_sorted and p_ids is null;
  v_order text := search_order(p_search, p_reverse);
  v_after text := case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end;
  v_times text[] := time_tests(p_search);
  v_from text;
  v_page text;
  v_shown integer;
  v_where text;
  v_all text;
  v_arms text[];
  v_items integer;
begin
  -- as search_items does
  perform set_config('enable_bitmapscan', case when p_ids is null then 'off' else 'on' end, true);
  v_where := opstac.search_where(null, null, null, p_ids, p_search - 'datetime');
  with shown as (
    select p.id, p.slot, format('pgstac.%I', '_items_' || k.key) as source
    from opstac.public_collections() p join pgstac.collections k on k.id = p.slot
    where p_collections is null or p.id = any (p_collections) or p.slug = any (p_collections)
  ),
  -- the plan grows with what is public and nothing else
  owners as (
    select source, array_agg(id) as ids from shown group by source
  ),
  -- of few collections each is read in order by itself, which takes an equality
  apart as (
    select count(*) <= 100 and p_ids is null and not (v_more and v_sorted) as each_one from shown
  ),
  arms as (
    select o.source, key_test('opstac:collection', o.ids) as test from owners o, apart where not each_one
    union all
    select s.source, key_test('opstac:collection', array[s.id]) from shown s, apart where each_one
  )
  select (select count(*) from shown),
         (select string_agg(one_by_one('1', o.source, v_times, key_test('opstac:collection', o.ids) || ' and ' || v_where),
                            ' union all ') from owners o),
         (select array_agg(format('select %s from %s where %s and %s and %s and %s', v_columns, a.source, t, a.test,
                                  case when v_walk then 'true' else v_where end, v_after))
          from arms a, unnest(v_times) t),
         (select string_agg(format('select %s from %s where %s', v_columns, o.source,
                                   key_test('opstac:collection', o.ids)), ' union all ') from owners o),
         (select pgstac.collection_base_item(min(s.slot)) from shown s)
    into v_shown, v_all, v_arms, v_from, base;
  if v_shown = 0 then
    matched := case when p_count is not null then 0 end;
    estimated := false;
    at_least := matched;
    return next;
    return;
  end if;
  if v_walk then
    select p.documents, p.items into rows, v_items
    from page_in_order(format('(%s) published', v_from), array(select t || ' and ' || v_after from unnest(v_times) t),
                       v_arms, v_where, v_order, p_limit, p_offset) p;
  else
    v_page := page_query(v_arms, v_order, p_limit, p_offset);
    if v_sorted then
      perform refuse_long_sort(v_page, p_search);
    end if;
    select p.documents, p.items into rows, v_items from page_rows(v_page, p_limit) p;
  end if;
  if p_count is not null then
    if v_items < p_limit and p_after is null and (v_items > 0 or p_offset = 0) then
      matched := p_offset + v_items;
      estimated := false;
      at_least := matched;
    else
      select c.matched, c.estimated, c.at_least into matched, estimated, at_least
      from search_count(v_all, null, p_count, case when v_items > 0 then p_offset else 0 end + v_items) c;
    end if;
  end if;
  return next;
end $$;

revoke all on function most_sorted, refuse_long_sort from public;
grant execute on function most_sorted, refuse_long_sort to opstac_stac;
-- Replacing a function forgets its settings.
alter function search_items set max_parallel_workers_per_gather = 0;
alter function search_public_items set max_parallel_workers_per_gather = 0;

-- ---------------------------------------------------------------- aggregations

drop function aggregate_keys;

create function aggregate_value(p jsonb) returns text
language plpgsql immutable set search_path = opstac, pgstac, public as $$
declare
  v_kind text := p ->> 'kind';
  v_point text := 'item_centroid(geometry, bbox)';
  v_value text;
begin
  if v_kind = 'collection' then
    return 'properties->>''opstac:collection''';
  elsif v_kind = 'interval' then
    return format('date_trunc(%L, datetime, ''UTC'')', p ->> 'by');
  elsif v_kind = 'terms' then
    v_value := replace(cql2_path(p ->> 'property'), 'content->''properties''', 'properties');
    return format('(case when jsonb_typeof(%1$s) in (''string'', ''number'', ''boolean'', ''array'') then %1$s end)',
                  v_value);
  elsif v_kind = 'ranges' then
    v_value := replace(cql2_value(jsonb_build_object('property', p ->> 'property'), 'number'),
                       'content->''properties''', 'properties');
    -- 0 is below the first edge and the number of edges above the last, which belongs to the last range
    return format('(case when %2$s = %3$s then %4$s else width_bucket(%2$s, %1$L::float8[]) end)',
                  array(select jsonb_array_elements_text(p -> 'edges')), v_value, p -> 'edges' -> -1,
                  jsonb_array_length(p -> 'edges') - 1);
  elsif p ->> 'of' = 'geometry' then
    return format('array(select distinct g.key from geometry_cells(geometry, %L, %s) g (key))', p ->> 'grid',
                  p ->> 'precision');
  elsif p ->> 'grid' = 'geohash' then
    return format('st_geohash(%s, %s)', v_point, p ->> 'precision');
  end if;
  return format('tile_key(%s, %s)', v_point, p ->> 'precision');
end $$;
comment on function aggregate_value is
  'SQL for what decides the buckets of an item, from its datetime, geometry, properties and bbox; null for none.';

create function aggregate_keys(p jsonb, p_groups text) returns text
language sql immutable set search_path = opstac, public as $$
  select format(case
    when p ->> 'kind' = 'interval' then
      'select to_jsonb(to_char(value at time zone ''UTC'', ''YYYY-MM-DD"T"HH24:MI:SS"Z"'')) as key, items from %s g'
    when p ->> 'kind' = 'terms' then
      'select value as key, items from %1$s g where jsonb_typeof(value) <> ''array'' union all'
      ' select e.key, items from %1$s g cross join lateral (select distinct a.key from jsonb_array_elements('
      ' case jsonb_typeof(value) when ''array'' then value end) a (key)) e'
      ' where jsonb_typeof(e.key) in (''string'', ''number'', ''boolean'')'
    when p ->> 'of' = 'geometry' then 'select to_jsonb(c.key) as key, items from %s g, unnest(value) c (key)'
    else 'select to_jsonb(value) as key, items from %s g' end, p_groups)
$$;
comment on function aggregate_keys is
  'SQL for the buckets (key) of items from their number by aggregate_value: a relation with value and items.';

create or replace function aggregate_over(p_from text, p_where text, p_aggregations jsonb) returns jsonb
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  a jsonb;
  n integer := 0;
  v_part text;
  v_found jsonb;
  v_all jsonb := '[]';
  v_values text := '';
  v_groups text := '';
  v_parts text[] := '{}';
  v_buckets boolean := exists (select from jsonb_array_elements(p_aggregations) e (a)
                               where e.a ->> 'kind' not in ('count', 'min', 'max'));
begin
  for a in select value from jsonb_array_elements(p_aggregations) loop
    n := n + 1;
    if a ->> 'kind' in ('count', 'min', 'max') then
      v_parts := v_parts || format(
        'select jsonb_build_object(''value'', %s) from %s',
        case a ->> 'kind' when 'count' then 'count(*)' else format('%s(datetime)', a ->> 'kind') end,
        case when v_buckets then 'items' else format('%s where %s', p_from, p_where) end);
      continue;
    end if;
    v_values := v_values || format(', %s as value%s', aggregate_value(a), n);
    -- counted by what is read of each item, of which few are distinct, and only then taken apart
    v_groups := v_groups || format(
      ', group%1$s as (select value%1$s as value, count(*) as items from items where value%1$s is not null group by 1)', n);
    v_parts := v_parts || format(
      'select jsonb_build_object(
         ''buckets'', coalesce(jsonb_agg(jsonb_build_array(key, frequency) order by n) filter (where inside), ''[]''),
         ''overflow'', coalesce(sum(frequency) filter (where not inside), 0))
       from (select key, frequency, n, key is not null and n <= %1$s as inside
             from (select key, sum(items)::bigint as frequency,
                          row_number() over (order by key is null, sum(items) desc, key) as n
                   from (%2$s) k group by key) b) c', a ->> 'limit', aggregate_keys(a, format('group%s', n)));
  end loop;
  if not v_buckets then
    -- each by itself: the first and the last moment stand at the ends of an index
    foreach v_part in array v_parts loop
      execute v_part into v_found;
      v_all := v_all || jsonb_build_array(v_found);
    end loop;
    return v_all;
  end if;
  -- a document is taken apart once, and no more is kept of it than what is counted
  execute format(
    'with items as materialized (select datetime%1$s from (
       select datetime, geometry%2$s%3$s from %4$s where %5$s offset 0) i)%6$s
     select jsonb_build_array(%7$s)',
    v_values,
    case when v_values ~ '\mproperties\M' then ', content->''properties'' as properties' else '' end,
    case when v_values ~ '\mbbox\M' then ', content->''bbox'' as bbox' else '' end,
    p_from, p_where, v_groups,
    (select string_agg(format('(%s)', part), ', ' order by o) from unnest(v_parts) with ordinality as t (part, o)))
    into v_all;
  return v_all;
end $$;
revoke all on function aggregate_value, aggregate_keys from public;
grant execute on function aggregate_value, aggregate_keys to opstac_stac;
