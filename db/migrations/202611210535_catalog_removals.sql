-- Deleting a project or a collection of a million items: one short transaction says that it is gone, from where on
-- nobody sees what was in it; its rows, documents and objects go in batches after that, wherever the last one stopped.

create table removal (
  id text primary key,
  organization_id text not null references organization,
  project_id text not null,
  collection_id text,
  items text not null check (items in ('delete', 'unlink')),
  passed text default '',
  created_at timestamptz not null default now(),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
comment on table removal is
  'Deleted projects, and where collection_id says so collections, of whose items some are left. items: whether they go '
  'too or stay in the project. passed: the items deleted earlier up to this id have let go of their assets; null when '
  'all have. The row goes with the last item.';
create index on removal (organization_id);
call protect('removal');
grant select, insert, update, delete on removal to opstac_app;
grant select on removal to opstac_stac;

-- the deleted items of a project; those that live have an index of theirs
create index item_deleted on item (project_id, id) where deleted_at is not null;

-- ---------------------------------------------------------------- what is deleted is seen by nobody

create function removed_projects() returns text[]
language plpgsql stable set search_path = opstac, pg_temp as $$
begin
  -- what removes them has to see them
  return case when current_setting('opstac.removing', true) = 'on' then '{}'
              else array(select project_id from removal where collection_id is null) end;
end $$;

create function removed_collections() returns text[]
language plpgsql stable set search_path = opstac, pg_temp as $$
begin
  return case when current_setting('opstac.removing', true) = 'on' then '{}'
              else array(select collection_id from removal where collection_id is not null and items = 'delete') end;
end $$;
comment on function removed_projects is 'Projects that are deleted and whose items are not all removed.';
comment on function removed_collections is 'Collections that are deleted with their items, which are not all removed.';
revoke all on function removed_projects, removed_collections from public;
grant execute on function removed_projects, removed_collections to opstac_app, opstac_stac, opstac_system;

-- once for a statement, not for each row
create policy removed on item as restrictive for select to opstac_app, opstac_stac, opstac_system
  using (project_id <> all ((select removed_projects())::text[])
         and (collection_id is null or collection_id <> all ((select removed_collections())::text[])));

create or replace function search_where(
  p_org text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb
) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_where text := search_condition(p_search);
  v_gone text[];
begin
  -- documents of what is deleted go by and by; what is public has no organization here, and is public no more
  if p_org is not null then
    v_gone := removed_projects();
    if v_gone <> '{}' then
      v_where := v_where || format(' and content->''properties''->>''opstac:project'' <> all (%L)', v_gone);
    end if;
    v_gone := removed_collections();
    if v_gone <> '{}' then
      v_where := v_where || format(' and content->''properties''->>''opstac:collection'' <> all (%L)', v_gone);
    end if;
  end if;
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

-- Replacing a function forgets its settings.
alter function search_items set max_parallel_workers_per_gather = 0;

-- ---------------------------------------------------------------- nothing is put into what is deleted

create function items_are_live() returns trigger
language plpgsql set search_path = opstac, pg_temp as $$
declare
  v_deleted timestamptz;
begin
  if exists (select from added a left join item i on i.id = a.item_id where i.id is null) then
    raise exception 'the project of an asset is deleted' using errcode = 'OP005';
  end if;
  -- a deletion under way is waited for: what it counts as freed is all that there is
  for v_deleted in
    select p.deleted_at from project p
    where p.id in (select i.project_id from added a join item i on i.id = a.item_id)
    order by p.id for key share
  loop
    if v_deleted is not null then
      raise exception 'the project of an asset is deleted' using errcode = 'OP005';
    end if;
  end loop;
  return null;
end $$;
create trigger items_are_live after insert on asset referencing new table as added
  for each statement execute function items_are_live();
