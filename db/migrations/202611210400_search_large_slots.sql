-- Searches that cost the same in a slot of a million items as in one of ten thousand. Project and collection
-- are tested by operators instead of an SQL function, and each has an index that goes on in the order of
-- pages. A count is made where the planner finds it cheap; else its estimate is given, with what is certain.

set local role pgstac_admin;
create index items_collection_order_idx on pgstac.items
  ((content->'properties'->>'opstac:collection'), datetime desc, id desc);
create index items_project_order_idx on pgstac.items
  ((content->'properties'->>'opstac:project'), datetime desc, id desc);
-- the few items that last longer than a moment, by when they end
create index items_spans_idx on pgstac.items
  ((case when end_datetime > datetime then end_datetime end), datetime);
-- the planner knows how often a value comes from the statistics of its index
do $$
declare
  v_partition regclass;
begin
  for v_partition in
    select c.oid::regclass from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'pgstac.items'::regclass and c.relkind = 'r' and c.relpages > 0
  loop
    execute format('analyze %s', v_partition);
  end loop;
end $$;
set local role opstac_owner;

-- ---------------------------------------------------------------- what is searched

create function key_test(p_property text, p_keys text[]) returns text
language sql immutable set search_path = opstac, public as $$
  select case
    when p_keys is null then 'true'
    -- only an equality keeps the order of the index
    when cardinality(p_keys) = 1 then format('content->''properties''->>%L = %L', p_property, p_keys[1])
    else format('content->''properties''->>%L = any (%L)', p_property, p_keys) end
$$;
comment on function key_test is
  'SQL for: the item''s opstac:project or opstac:collection is one of these; null for any. The expressions are those of '
  'items_project_order_idx and items_collection_order_idx.';

create function search_collections(p_org text, p_names text[]) returns text[]
language sql stable set search_path = opstac, public as $$
  select case when p_names is not null then array(
    select n from unnest(p_names) n
    union
    select c.id from opstac.collection c
    where c.organization_id = p_org and c.slug = any (p_names) and c.deleted_at is null) end
$$;
comment on function search_collections is 'The ids and what else is named, each once; null for all collections.';

create function time_tests(p_search jsonb) returns text[]
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_asked tstzrange := pgstac.parse_dtrange(p_search -> 'datetime');
  v_until text := format('datetime %s %L::timestamptz', case when upper_inc(v_asked) then '<=' else '<' end, upper(v_asked));
begin
  if not p_search ? 'datetime' then
    return array['true'];
  elsif isfinite(lower(v_asked)) then
    return array[
      format('datetime >= %L::timestamptz and %s', lower(v_asked), v_until),
      format('(case when end_datetime > datetime then end_datetime end) >= %1$L::timestamptz'
             ' and datetime < %1$L::timestamptz and %2$s', lower(v_asked), v_until)];
  end if;
  return array[v_until];
end $$;
comment on function time_tests is
  'SQL for the time of a search, as conditions of which an item meets one at most: it begins within, or it began '
  'before and lasts until then. As one condition (begins before its end, ends after its begin) it has no index.';

create or replace function search_where(
  p_org text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb
) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_where text := search_condition(p_search);
begin
  if p_projects is not null then
    v_where := v_where || ' and ' || key_test('opstac:project', p_projects);
  end if;
  if p_collections is not null then
    v_where := v_where || ' and ' || key_test('opstac:collection', search_collections(p_org, p_collections));
  end if;
  if p_ids is not null then
    v_where := v_where || format(
      ' and (id = any (%1$L) or to_text(content->''properties''->''opstac:stac_id'') = any (%1$L))', p_ids);
  end if;
  return v_where;
end $$;

create or replace function cql2_value(p jsonb, p_kind text) returns text
language plpgsql immutable set search_path = opstac, pgstac, public as $$
declare
  v_name text := p ->> 'property';
  v_op text := p ->> 'op';
begin
  if v_name is not null then
    if v_name in ('datetime', 'start_datetime', 'end_datetime') then
      return case when p_kind <> 'time' then 'null' when v_name = 'end_datetime' then v_name else 'datetime' end;
    elsif v_name = 'id' then
      return 'id';
    end if;
    return case
      -- the expressions of the indexes; only the platform writes these properties
      when v_name = 'eo:cloud_cover' and p_kind = 'number' then format('to_float(%s)', cql2_path(v_name))
      when v_name = 'updated' and p_kind = 'time' then format('to_tstz(%s)', cql2_path(v_name))
      when v_name in ('opstac:project', 'opstac:collection') and p_kind = 'text'
        then format('(content->''properties''->>%L)', v_name)
      when v_name = 'opstac:stac_id' and p_kind = 'text' then format('to_text(%s)', cql2_path(v_name))
      when p_kind = 'number' then format('json_number(%s)', cql2_path(v_name))
      when p_kind = 'text' then format('json_text(%s)', cql2_path(v_name))
      when p_kind = 'boolean' then format('json_boolean(%s)', cql2_path(v_name))
      when p_kind = 'texts' then format('json_texts(%s)', cql2_path(v_name))
      when p_kind = 'time' then format('json_instant(%s)', cql2_path(v_name))
      else format('nullif(%s, ''null'')', cql2_path(v_name))
    end;
  elsif v_op = 'casei' then
    return format('upper(%s)', cql2_value(p #> '{args,0}', 'text'));
  elsif v_op = 'accenti' then
    return format('unaccent(%s)', cql2_value(p #> '{args,0}', 'text'));
  elsif v_op is not null then
    return format('calculated(%L, %s, %s)', v_op, cql2_value(p #> '{args,0}', 'number'),
                  cql2_value(p #> '{args,1}', 'number'));
  elsif p ? 'timestamp' then
    return format('%L::timestamptz', p ->> 'timestamp');
  elsif p ? 'date' then
    return format('%L::timestamptz', (p ->> 'date') || 'T00:00:00Z');
  elsif p_kind = 'texts' then
    return format('%L::text[]', array(select jsonb_array_elements_text(p)));
  end if;
  return format('%L::%s', p #>> '{}',
                case p_kind when 'number' then 'float8' when 'boolean' then 'boolean' else 'text' end);
end $$;

-- ---------------------------------------------------------------- one page and its count

create function page_rows(p_rows text, p_limit integer, out documents text, out items integer)
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
    execute format('select ''['' || string_agg(document, '','') || '']'', count(*) from (%s) d', v_row) into documents, items;
    return;
  end if;
  for v_found in execute v_row loop
    v_bytes := v_bytes + octet_length(v_found);
    if v_bytes > 32 << 20 and v_all <> '{}' then
      items := cardinality(v_all) + 1;
      documents := '[' || array_to_string(v_all || 'null'::text, ',') || ']';
      return;
    end if;
    v_all := v_all || v_found;
  end loop;
  items := cardinality(v_all);
  documents := '[' || array_to_string(v_all, ',') || ']';
end $$;
comment on function page_rows is
  'A JSON list of what p_rows finds, and how many it found; a null at its end says that the list was cut at 32 MiB.';

create function estimate(p_query text, out items float8, out cost float8)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_plan jsonb;
begin
  execute 'explain (format json) ' || p_query into v_plan;
  items := v_plan #>> '{0,Plan,Plan Rows}';
  cost := v_plan #>> '{0,Plan,Total Cost}';
end $$;
comment on function estimate is 'How many rows the planner expects, and what reading them all costs in its units.';

create function search_count(
  p_query text, p_parts text[], p_exactly integer, p_certain bigint,
  out matched bigint, out estimated boolean, out at_least bigint
)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  -- in the planner's units, of which a millisecond has some hundreds; it prices a function of PostGIS at
  -- five to ten times of what that takes
  v_cheap float8 := case when p_query ~ 'st_\w+\(geometry' then 50000 else 5000 end;
  v_all record;
begin
  v_all := estimate(p_query);
  estimated := v_all.cost > v_cheap;
  at_least := p_certain;
  if not estimated then
    execute format('select count(*) from (%s limit %s) c', p_query, p_exactly + 1) into at_least;
    estimated := at_least > p_exactly;
  end if;
  matched := case when estimated then greatest(at_least, v_all.items,
    (select sum(e.items) from unnest(p_parts) part cross join lateral estimate(part) e)) else at_least end;
end $$;
comment on function search_count is
  'How many items match: counted up to p_exactly where the planner finds that cheap, else its estimate, marked so. '
  'p_parts: queries that add up to p_query. p_certain: how many are known of already. at_least: what is certain.';

create function page_query(p_arms text[], p_order text, p_limit integer, p_offset integer) returns text
language sql immutable set search_path = opstac, public as $$
  -- each arm reads its own first rows in order, whatever the others hold
  select case when cardinality(p_arms) = 1
    then format('%s order by %s limit %s offset %s', p_arms[1], p_order, p_limit, p_offset)
    else format('select * from (%s) items order by %s limit %s offset %s',
      (select string_agg(format('(%s order by %s limit %s)', a, p_order, p_limit::bigint + p_offset), ' union all ')
       from unnest(p_arms) a), p_order, p_limit, p_offset) end
$$;
comment on function page_query is 'SQL for the first rows of all the arms together, each a select of items.';

create function one_by_one(p_columns text, p_from text, p_tests text[], p_rest text) returns text
language sql immutable set search_path = opstac, public as $$
  select string_agg(format('select %s from %s where %s and %s', p_columns, p_from, t, p_rest), ' union all ')
  from unnest(p_tests) t
$$;
comment on function one_by_one is 'SQL for what meets one of p_tests, no two of which an item meets, and p_rest.';

create function page_in_order(
  p_from text, p_range text[], p_arms text[], p_rest text, p_order text, p_limit integer, p_offset integer,
  out documents text, out items integer
)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_columns text := 'select id, datetime, end_datetime, geometry, content from ';
  -- what the planner takes to look at one item, of which the most is a function of PostGIS
  v_each float8 := case when p_rest ~ 'st_\w+\(geometry' then 26 else 1.5 end;
  v_range record;
  v_all record;
  v_walk float8;
begin
  v_range := estimate(one_by_one('1', p_from, p_range, 'true'));
  v_all := estimate(one_by_one('1', p_from, p_range, p_rest));
  v_walk := (p_limit::float8 + p_offset) * v_range.items / greatest(v_all.items, 1);
  if v_walk * v_each < v_all.cost then
    -- Items that match may lie apart from where the order begins (a place that was seen in one year only), which
    -- no statistics tell: so the walk ends after four times of what is to be expected
    select p.documents, p.items into documents, items from page_rows(format(
      '%s (%s) items where %s order by %s limit %s offset %s', v_columns,
      page_query(p_arms, p_order, (4 * least(v_walk, 1e8) + 1000)::integer, 0), p_rest, p_order, p_limit, p_offset),
      p_limit) p;
    if items >= p_limit then
      return;
    end if;
  end if;
  select p.documents, p.items into documents, items from page_rows(format(
    '%s (%s offset 0) items order by %s limit %s offset %s', v_columns,
    one_by_one('id, datetime, end_datetime, geometry, content', p_from, p_range, p_rest), p_order, p_limit, p_offset),
    p_limit) p;
end $$;
comment on function page_in_order is
  'page_rows of what meets one of p_range and p_rest: by walking along the order where that is short, else from what '
  'an index finds of p_rest. p_arms: queries for p_range that an index answers in p_order.';

drop function search_items;
create function search_items(
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
                    case when p_collections is null and cardinality(v_each) > 1 then 'true' else v_rest end)
      from unnest(v_times) t, unnest(v_each) k);
    select p.documents, p.items into rows, v_items
    from page_rows(page_query(v_arms, v_order, p_limit, p_offset), p_limit) p;
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
-- volatile only because a stable function may not EXPLAIN; it writes nothing
comment on function search_items is
  'One page of one slot, in the organization p_org. p_projects: what the caller may see, null for all. '
  'p_collections and p_ids: platform ids or the names clients see. p_search: the rest, as pgstac takes it. '
  'p_after: the values of the row to go on from. p_count: how far to count exactly, null not to count.';

drop function search_public_items;
create function search_public_items(
  p_collections text[], p_ids text[], p_search jsonb, p_limit integer, p_offset integer, p_after jsonb,
  p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean, at_least bigint)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_times text[] := time_tests(p_search);
  v_shown integer;
  v_where text;
  v_all text;
  v_arms text[];
  v_items integer;
begin
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
  arms as (
    select o.source, key_test('opstac:collection', o.ids) as test from owners o
    where (select count(*) from shown) > 100 or p_search ?| array['intersects', 'filter'] or p_ids is not null
    union all
    select s.source, key_test('opstac:collection', array[s.id]) from shown s
    where (select count(*) from shown) <= 100 and not p_search ?| array['intersects', 'filter'] and p_ids is null
  )
  select (select count(*) from shown),
         (select string_agg(one_by_one('1', o.source, v_times, key_test('opstac:collection', o.ids) || ' and ' || v_where),
                            ' union all ') from owners o),
         (select array_agg(format(
            'select id, datetime, end_datetime, geometry, content from %s where %s and %s and %s and %s', a.source, t,
            a.test, v_where, case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end))
          from arms a, unnest(v_times) t),
         (select pgstac.collection_base_item(min(s.slot)) from shown s)
    into v_shown, v_all, v_arms, base;
  if v_shown = 0 then
    matched := case when p_count is not null then 0 end;
    estimated := false;
    at_least := matched;
    return next;
    return;
  end if;
  select p.documents, p.items into rows, v_items
  from page_rows(page_query(v_arms, search_order(p_search, p_reverse), p_limit, p_offset), p_limit) p;
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
comment on function search_public_items is 'One page of what is public. The parameters are those of search_items.';

drop function page_text;

create or replace function public_source(p_collections text[]) returns text
language sql stable set search_path = opstac, pgstac, public as $$
  -- one arm for each organization that has published something: the plan grows with nothing else
  select '(' || string_agg(format(
           'select id, datetime, end_datetime, geometry, content from pgstac.%I where %s',
           '_items_' || k.key, key_test('opstac:collection', s.ids)), ' union all ' order by s.slot) || ') published'
  from (select p.slot, array_agg(p.id) as ids from opstac.public_collections() p
        where p_collections is null or p.id = any (p_collections) or p.slug = any (p_collections)
        group by p.slot) s
  join pgstac.collections k on k.id = s.slot
$$;

revoke all on function key_test, search_collections, time_tests, page_rows, estimate, search_count, page_query,
  one_by_one, page_in_order, search_items, search_public_items from public;
grant execute on function key_test, search_collections, time_tests, page_rows, estimate, search_count, page_query,
  one_by_one, page_in_order, search_items, search_public_items to opstac_stac;
-- which asks search_where what a saved search matches
grant execute on function key_test, search_collections to opstac_app;

-- Starting parallel workers takes longer than a page of a search.
alter function search_items set max_parallel_workers_per_gather = 0;
alter function search_public_items set max_parallel_workers_per_gather = 0;
