-- What the planner knows of an expression belongs to its index, so it is found anew for those that are new.
set local role pgstac_admin;
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

create or replace function page_in_order(
  p_from text, p_range text[], p_arms text[], p_rest text, p_order text, p_limit integer, p_offset integer,
  out documents text, out items integer
)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_columns text := 'select id, datetime, end_datetime, geometry, content from ';
  -- what the planner takes to look at one item, of which the most is a function of PostGIS
  v_each float8 := case when p_rest ~ 'st_\w+\(geometry' then 26 else 1.5 end;
  v_arms text[];
  v_range record;
  v_all record;
  v_walk record;
  v_ahead float8;
begin
  v_all := estimate(one_by_one('1', p_from, p_range, p_rest));
  if position('eo:cloud_cover' in p_rest) > 0 then
    v_arms := array(select format('%s and (%s)', arm, p_rest) from unnest(p_arms) arm);
    perform set_config('enable_sort', 'off', true);
    -- of the arms one is along the order; of what began before and lasts until then there is little, and it is sorted
    v_walk := estimate(page_query(v_arms[: 1], p_order, 2147483647, 0));
    perform set_config('enable_sort', 'on', true);
    -- Going along the order to its very end takes about what reading all that match does, and mostly ends early
    if v_walk.cost < 2 * v_all.cost then
      select p.documents, p.items into documents, items
      from page_rows(page_query(v_arms, p_order, p_limit, p_offset), p_limit) p;
      return;
    end if;
  end if;
  v_range := estimate(one_by_one('1', p_from, p_range, 'true'));
  v_ahead := (p_limit::float8 + p_offset) * v_range.items / greatest(v_all.items, 1);
  if v_ahead * v_each < v_all.cost then
    -- Items that match may lie apart from where the order begins (a place that was seen in one year only), which
    -- no statistics tell: so the walk ends after four times of what is to be expected
    select p.documents, p.items into documents, items from page_rows(format(
      '%s (%s) items where %s order by %s limit %s offset %s', v_columns,
      page_query(p_arms, p_order, (4 * least(v_ahead, 1e8) + 1000)::integer, 0), p_rest, p_order, p_limit, p_offset),
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
