-- Filters, order and paging as SQL of ours. A property is read as what it is compared with, so a
-- number among texts matches nothing instead of failing the whole search; arithmetic keeps its
-- brackets; two properties are compared by what they hold. pgstac reads place and datetime.

-- ---------------------------------------------------------------- reading one property

create function json_number(p jsonb) returns float8
language plpgsql immutable strict parallel safe as $$
begin
  return case when jsonb_typeof(p) = 'number' then p::float8 end;
end $$;

create function json_text(p jsonb) returns text
language plpgsql immutable strict parallel safe as $$
begin
  return case when jsonb_typeof(p) = 'string' then p #>> '{}' end;
end $$;

create function json_boolean(p jsonb) returns boolean
language plpgsql immutable strict parallel safe as $$
begin
  return case when jsonb_typeof(p) = 'boolean' then p::boolean end;
end $$;

create function json_texts(p jsonb) returns text[]
language plpgsql immutable strict parallel safe as $$
begin
  return case when jsonb_typeof(p) = 'array' then array(select jsonb_array_elements_text(p)) end;
end $$;

create function json_instant(p jsonb, p_end boolean default false) returns timestamptz
language plpgsql immutable strict parallel safe as $$
declare
  v_text text := p #>> '{}';
begin
  if jsonb_typeof(p) <> 'string' or v_text !~ '^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?$' then
    return null;
  end if;
  if length(v_text) = 10 then
    return (v_text || 'T00:00:00Z')::timestamptz
      + case when p_end then interval '23:59:59.999999' else interval '0' end;
  end if;
  return (case when v_text ~ '([Zz]|[+-]\d\d:?\d\d)$' then v_text else v_text || 'Z' end)::timestamptz;
exception when data_exception then
  return null;  -- a day that does not exist
end $$;
comment on function json_instant is
  'A time in a document: its first moment, or with p_end its last (a day has many). Null for what is no time.';

create function json_compare(p_left jsonb, p_right jsonb) returns integer
language plpgsql immutable strict parallel safe as $$
begin
  if jsonb_typeof(p_left) <> jsonb_typeof(p_right) then
    return null;
  end if;
  return case jsonb_typeof(p_left)
    when 'number' then case when p_left < p_right then -1 when p_left > p_right then 1 else 0 end
    when 'string' then case when (p_left #>> '{}') collate "C" < (p_right #>> '{}') then -1
                            when (p_left #>> '{}') collate "C" > (p_right #>> '{}') then 1 else 0 end
    when 'boolean' then case when p_left < p_right then -1 when p_left > p_right then 1 else 0 end
  end;
end $$;
comment on function json_compare is 'Below 0, 0 or above 0 for two values of one kind; null for values that do not compare.';

create function calculated(p_operator text, p_left float8, p_right float8) returns float8
language plpgsql immutable strict parallel safe as $$
begin
  return case p_operator
    when '+' then p_left + p_right
    when '-' then p_left - p_right
    when '*' then p_left * p_right
    when '/' then p_left / nullif(p_right, 0)
    when '%' then mod(p_left::numeric, nullif(p_right, 0)::numeric)
    when 'div' then trunc(p_left / nullif(p_right, 0))
    when '^' then power(p_left, p_right)
  end;
exception when data_exception then
  return null;  -- too large, or not a real number
end $$;
comment on function calculated is 'Arithmetic of a filter; null where there is no finite result.';

-- ---------------------------------------------------------------- a filter

create function cql2_path(p_name text) returns text
language sql immutable strict set search_path = opstac, pgstac, public as $$
  select pgstac.content_path(pgstac.queryable_path_elements(p_name))
$$;

create function cql2_value(p jsonb, p_kind text) returns text
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
      -- the expressions of the queryables' indexes; only the platform writes these properties
      when v_name = 'eo:cloud_cover' and p_kind = 'number' then format('to_float(%s)', cql2_path(v_name))
      when v_name = 'updated' and p_kind = 'time' then format('to_tstz(%s)', cql2_path(v_name))
      when v_name in ('opstac:project', 'opstac:collection', 'opstac:stac_id') and p_kind = 'text'
        then format('to_text(%s)', cql2_path(v_name))
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
comment on function cql2_value is
  'SQL for a value of a filter, read as p_kind: number, text, boolean, time, texts, or json for what it holds.';

create function cql2_ends(p jsonb, out low text, out high text)
language plpgsql immutable set search_path = opstac, pgstac, public as $$
begin
  if jsonb_typeof(p) = 'string' then
    low := '''-infinity''::timestamptz';
    high := '''infinity''::timestamptz';
  elsif p ? 'interval' then
    low := (cql2_ends(p #> '{interval,0}')).low;
    high := (cql2_ends(p #> '{interval,1}')).high;
  elsif p ? 'date' then
    low := cql2_value(p, 'time');
    high := format('%L::timestamptz', (p ->> 'date') || 'T23:59:59.999999Z');
  elsif p ->> 'property' in ('datetime', 'start_datetime', 'end_datetime', 'updated') or p ? 'timestamp' then
    low := cql2_value(p, 'time');
    high := low;
  else
    low := cql2_value(p, 'time');
    high := format('json_instant(%s, true)', cql2_path(p ->> 'property'));
  end if;
end $$;
comment on function cql2_ends is 'SQL for the first and last moment of a temporal operand; the text ".." is an open end.';

create function cql2_condition(p jsonb, p_negated boolean default false) returns text
language plpgsql immutable set search_path = opstac, pgstac, public as $$
declare
  v_op text := p ->> 'op';
  v_args jsonb := p -> 'args';
  v_kind text := p ->> 'as';
  l record;
  r record;
  v_sql text;
begin
  if v_op in ('and', 'or') then
    return '(' || (select string_agg(cql2_condition(a, p_negated), ' ' || v_op || ' ' order by n)
                   from jsonb_array_elements(v_args) with ordinality as t (a, n)) || ')';
  elsif v_op = 'not' then
    return format('(not %s)', cql2_condition(v_args -> 0, true));
  elsif v_op = 'isNull' then
    return format('(%s is null)', cql2_value(v_args -> 0, v_kind));
  elsif v_op = 'like' then
    return format('(%s like %s)', cql2_value(v_args -> 0, 'text'), cql2_value(v_args -> 1, 'text'));
  elsif v_op = 'in' then
    return format('(%s = any (%L::%s[]))', cql2_value(v_args -> 0, v_kind),
                  array(select jsonb_array_elements_text(v_args -> 1)),
                  case v_kind when 'number' then 'float8' else v_kind end);
  elsif starts_with(v_op, 's_') then
    v_sql := format('%s(geometry, %L::geometry)', replace(v_op, 's_', 'st_'), st_geomfromgeojson(v_args -> 1)::text);
    -- an item without geometry is neither within a place nor outside of it
    return case when p_negated or v_op = 's_disjoint'
                then format('(case when not st_isempty(geometry) then %s end)', v_sql) else v_sql end;
  elsif starts_with(v_op, 't_') then
    select * into l from cql2_ends(v_args -> 0);
    select * into r from cql2_ends(v_args -> 1);
    -- 1, 2: first and last moment on the left; 3, 4: on the right (CQL2, table 12)
    return '(' || format(case v_op
      when 't_before' then '%2$s < %3$s'
      when 't_after' then '%1$s > %4$s'
      when 't_meets' then '%2$s = %3$s'
      when 't_metby' then '%1$s = %4$s'
      when 't_overlaps' then '%1$s < %3$s and %2$s > %3$s and %2$s < %4$s'
      when 't_overlappedby' then '%1$s > %3$s and %1$s < %4$s and %2$s > %4$s'
      when 't_starts' then '%1$s = %3$s and %2$s < %4$s'
      when 't_startedby' then '%1$s = %3$s and %2$s > %4$s'
      when 't_during' then '%1$s > %3$s and %2$s < %4$s'
      when 't_contains' then '%1$s < %3$s and %2$s > %4$s'
      when 't_finishes' then '%1$s > %3$s and %2$s = %4$s'
      when 't_finishedby' then '%1$s < %3$s and %2$s = %4$s'
      when 't_equals' then '%1$s = %3$s and %2$s = %4$s'
      when 't_disjoint' then 'not (%1$s <= %4$s and %2$s >= %3$s)'
      when 't_intersects' then '%1$s <= %4$s and %2$s >= %3$s'
    end, l.low, l.high, r.low, r.high) || ')';
  elsif starts_with(v_op, 'a_') then
    return format('(%s %s %s)', cql2_value(v_args -> 0, 'texts'),
      case v_op when 'a_equals' then '=' when 'a_contains' then '@>' when 'a_containedby' then '<@' else '&&' end,
      cql2_value(v_args -> 1, 'texts'));
  elsif v_kind = 'json' then
    return format('(json_compare(%s, %s) %s 0)', cql2_value(v_args -> 0, 'json'), cql2_value(v_args -> 1, 'json'), v_op);
  elsif v_kind = 'text' and v_op not in ('=', '<>') then
    return format('(%s collate "C" %s %s)', cql2_value(v_args -> 0, 'text'), v_op, cql2_value(v_args -> 1, 'text'));
  end if;
  return format('(%s %s %s)', cql2_value(v_args -> 0, v_kind), v_op, cql2_value(v_args -> 1, v_kind));
end $$;
comment on function cql2_condition is
  'SQL for a filter in the normal form of stac_api/normal_form.py, whose operators and literals are checked there.';

create function search_condition(p_search jsonb) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_where text := 'true';
  v_place jsonb := coalesce(
    (select jsonb_object_agg(key, value) from jsonb_each(p_search) where key in ('intersects', 'datetime')), '{}');
begin
  if v_place <> '{}' then
    v_where := pgstac.stac_search_to_where(v_place);
  end if;
  if p_search ? 'filter' then
    v_where := v_where || ' and ' || cql2_condition(p_search -> 'filter');
  end if;
  return v_where;
end $$;
comment on function search_condition is 'SQL for the place, the time and the filter of a search.';

-- ---------------------------------------------------------------- order

create function sort_keys(p_search jsonb) returns table (n bigint, expr text, descending boolean, required boolean)
language sql immutable set search_path = opstac, pgstac, public as $$
  with asked as (
    select s.n, s.field ->> 'field' as name, s.field ->> 'direction' = 'desc' as descending
    from jsonb_array_elements(case when p_search ? 'sortby' then p_search -> 'sortby'
                                   else '[{"field": "datetime", "direction": "desc"}]' end)
      with ordinality as s (field, n)
  )
  select a.n,
         case when a.name in ('datetime', 'start_datetime') then 'datetime'
              when a.name = 'end_datetime' then 'end_datetime'
              when a.name = 'eo:cloud_cover' then cql2_value(jsonb_build_object('property', a.name), 'number')
              when a.name = 'updated' then cql2_value(jsonb_build_object('property', a.name), 'time')
              when a.name in ('opstac:project', 'opstac:collection', 'opstac:stac_id')
                then cql2_value(jsonb_build_object('property', a.name), 'text')
              else cql2_value(jsonb_build_object('property', a.name), 'json') end,
         a.descending,
         a.name in ('datetime', 'start_datetime', 'end_datetime')
  from asked a
  union all
  select 1000, 'id', (select descending from asked where asked.n = 1), true
$$;
comment on function sort_keys is 'What a search is ordered by, the id last; required: it is never null.';

create function search_order(p_search jsonb, p_reverse boolean) returns text
language sql immutable set search_path = opstac, pgstac, public as $$
  select string_agg(expr || case when descending <> p_reverse then ' desc' else '' end, ', ' order by n)
  from sort_keys(p_search)
$$;

create function search_after(p_search jsonb, p_after jsonb, p_reverse boolean) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_row pgstac.items := row(p_after ->> 'id', null, null, (p_after ->> 'datetime')::timestamptz,
                            (p_after ->> 'end_datetime')::timestamptz, p_after -> 'content', null)::pgstac.items;
  k record;
  v_down boolean;
  v_value text;
  v_same text := '';
  v_any text := '';
  v_bound text := '';
  v_keys text[] := '{}';
  v_values text[] := '{}';
begin
  if (select bool_and(required) and count(distinct descending) = 1 from sort_keys(p_search)) then
    -- one comparison of rows, which an index can begin at
    for k in select * from sort_keys(p_search) order by n loop
      execute format('select quote_literal((%s)::text) from (select $1.*) r', k.expr) into v_value using v_row;
      v_keys := v_keys || k.expr;
      v_values := v_values || v_value;
      v_down := k.descending <> p_reverse;
    end loop;
    return format('(%s) %s (%s)', array_to_string(v_keys, ', '), case when v_down then '<' else '>' end,
                  array_to_string(v_values, ', '));
  end if;
  for k in select * from sort_keys(p_search) order by n loop
    execute format('select quote_literal((%s)::text) from (select $1.*) r', k.expr) into v_value using v_row;
    v_down := k.descending <> p_reverse;
    if v_value is null then
      -- null stands last going up and first going down
      if v_down then
        v_any := v_any || format(' or (%s %s is not null)', v_same, k.expr);
      end if;
      v_same := v_same || format('%s is null and ', k.expr);
    else
      v_any := v_any || format(' or (%s (%s %s %s%s))', v_same, k.expr, case when v_down then '<' else '>' end, v_value,
                               case when v_down or k.required then '' else format(' or %s is null', k.expr) end);
      v_same := v_same || format('%s = %s and ', k.expr, v_value);
      if k.n = 1 and (v_down or k.required) then
        v_bound := format('%s %s %s and ', k.expr, case when v_down then '<=' else '>=' end, v_value);
      end if;
    end if;
  end loop;
  return format('(%s(%s))', v_bound, substr(v_any, 5));
end $$;
comment on function search_after is
  'SQL for what comes behind a place in the order of a search. The place has its values with it, so it is found even '
  'when the item is gone.';

grant execute on function search_condition, search_order, search_after to opstac_stac, opstac_app;

-- ---------------------------------------------------------------- the search with them

create or replace function search_where(
  p_org text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb
) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_where text := search_condition(p_search);
begin
  -- the expressions below are those of the queryables' indexes
  if p_projects is not null then
    v_where := v_where || format(
      ' and to_text(content->''properties''->''opstac:project'') = any (%L)', p_projects);
  end if;
  if p_collections is not null then
    v_where := v_where || format(
      ' and to_text(content->''properties''->''opstac:collection'') = any (%L)',
      p_collections || array(
        select c.id from opstac.collection c
        where c.organization_id = p_org and c.slug = any (p_collections) and c.deleted_at is null));
  end if;
  if p_ids is not null then
    v_where := v_where || format(
      ' and (id = any (%1$L) or to_text(content->''properties''->''opstac:stac_id'') = any (%1$L))', p_ids);
  end if;
  return v_where;
end $$;

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
  execute format(
    'select ''['' || string_agg(
       ''{"id":'' || to_json(r.id) || '',"datetime":'' || to_json(r.datetime)
       || '',"end_datetime":'' || to_json(r.end_datetime)
       || '',"geometry":'' || coalesce(st_asgeojson(r.geometry, 20), ''null'')
       || '',"content":'' || r.content::text || ''}'', '','') || '']''
     from (select id, datetime, end_datetime, geometry, content
           from pgstac.%I where %s and %s order by %s limit %s offset %s) r',
    v_partition, v_where, case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end,
    search_order(p_search, p_reverse), p_limit, p_offset) into rows;
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
