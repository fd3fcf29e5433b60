-- The functions that write a search's SQL, in PL/pgSQL: a connection keeps the plans of these, while a function in SQL that
-- is not put into its query is planned again in each transaction, which took a good part of what finding one item takes.

create or replace function key_test(p_property text, p_keys text[]) returns text
language plpgsql immutable set search_path = opstac, public as $$
begin
  return case
    when p_keys is null then 'true'
    -- only an equality keeps the order of the index
    when cardinality(p_keys) = 1 then format('content->''properties''->>%L = %L', p_property, p_keys[1])
    else format('content->''properties''->>%L = any (%L)', p_property, p_keys) end;
end $$;

create or replace function search_collections(p_org text, p_names text[]) returns text[]
language plpgsql stable set search_path = opstac, public as $$
begin
  if p_names is null then
    return null;
  end if;
  -- a slug is the id of nothing else, so it stands for its collection alone: one equality keeps the order of an index
  return array(
    select distinct coalesce(c.id, n)
    from unnest(p_names) n
    left join opstac.collection c on c.organization_id = p_org and c.slug = n and c.deleted_at is null);
end $$;

create or replace function search_order(p_search jsonb, p_reverse boolean) returns text
language plpgsql immutable set search_path = opstac, pgstac, public as $$
begin
  if not p_search ? 'sortby' then  -- what sort_keys says of it
    return case when p_reverse then 'datetime, id' else 'datetime desc, id desc' end;
  end if;
  return (
    select string_agg(expr || case when descending <> p_reverse then ' desc' else '' end, ', ' order by n)
    from sort_keys(p_search));
end $$;

create or replace function page_query(p_arms text[], p_order text, p_limit integer, p_offset integer) returns text
language plpgsql immutable set search_path = opstac, public as $$
begin
  if cardinality(p_arms) = 1 then
    return format('%s order by %s limit %s offset %s', p_arms[1], p_order, p_limit, p_offset);
  end if;
  -- each arm reads its own first rows in order, whatever the others hold
  return format('select * from (%s) items order by %s limit %s offset %s',
    (select string_agg(format('(%s order by %s limit %s)', a, p_order, p_limit::bigint + p_offset), ' union all ')
     from unnest(p_arms) a), p_order, p_limit, p_offset);
end $$;

create or replace function one_by_one(p_columns text, p_from text, p_tests text[], p_rest text) returns text
language plpgsql immutable set search_path = opstac, public as $$
begin
  return (
    select string_agg(format('select %s from %s where %s and %s', p_columns, p_from, t, p_rest), ' union all ')
    from unnest(p_tests) t);
end $$;

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
  select c.base_item into base from pgstac.collections c where c.id = p_slot;
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
alter function search_items set max_parallel_workers_per_gather = 0;
