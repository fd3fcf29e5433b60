-- Slots: pgstac collections made ahead, one for each organization, and the SQL behind
-- stac_api/writes.py and stac_api/search.py. Nothing of a request or operation runs DDL.

-- ---------------------------------------------------------------- what can be searched by an index

-- before the first slot, so that every slot's partition gets these indexes when it is made
set local role pgstac_admin;

select pgstac.upsert_queryable('opstac:project', '{"title": "Project", "type": "string"}', 'to_text', 'BTREE');
select pgstac.upsert_queryable('opstac:collection', '{"title": "Collection", "type": "string"}', 'to_text', 'BTREE');
select pgstac.upsert_queryable('opstac:stac_id', '{"title": "Item ID", "type": "string"}', 'to_text', 'BTREE');
select pgstac.upsert_queryable('eo:cloud_cover',
  '{"title": "Cloud cover, percent", "type": "number", "minimum": 0, "maximum": 100}', 'to_float', 'BTREE');
select pgstac.upsert_queryable('updated',
  '{"title": "Last change", "type": "string", "format": "date-time"}', 'to_tstz', 'BTREE');
-- typed, so that they compare as what they are, but not worth an index
select pgstac.upsert_queryable('created', '{"title": "Made", "type": "string", "format": "date-time"}', 'to_tstz');
select pgstac.upsert_queryable('gsd', '{"title": "Ground sample distance, metres", "type": "number"}', 'to_float');
select pgstac.upsert_queryable('title', '{"title": "Title", "type": "string"}', 'to_text');
select pgstac.upsert_queryable('platform', '{"title": "Platform", "type": "string"}', 'to_text');
select pgstac.upsert_queryable('constellation', '{"title": "Constellation", "type": "string"}', 'to_text');

-- ---------------------------------------------------------------- making slots

create function pgstac.opstac_make_slot(p_slot text) returns void
language plpgsql security definer set search_path = pgstac, public as $$
begin
  -- taken by name, because check_partition swallows the error of a lock it waited for too long;
  -- ONLY: partitions of others need no lock
  lock table only pgstac.items in access exclusive mode;
  lock table pgstac.collections in share row exclusive mode;
  perform pgstac.create_collection(jsonb_build_object(
    'id', p_slot, 'type', 'Collection', 'stac_version', '1.0.0', 'license', 'proprietary',
    'description', 'One organization''s items', 'links', '[]'::jsonb,
    'extent', '{"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[null, null]]}}'::jsonb));
  -- wide from the start: widening later would scan the partition under an exclusive lock
  perform pgstac.check_partition(p_slot, '[1000-01-01Z,3000-01-01Z]', '[1000-01-01Z,3000-01-01Z]');
  execute format(
    'grant select, insert, update, delete on pgstac.%I to opstac_app, opstac_system',
    (select '_items_' || key from pgstac.collections where id = p_slot));
end $$;
comment on function pgstac.opstac_make_slot is
  'A pgstac collection with its one empty partition. DDL: only for opstac.provision_slot.';
revoke all on function pgstac.opstac_make_slot from public;
grant execute on function pgstac.opstac_make_slot to opstac_system;

grant usage on schema pgstac to opstac_app, opstac_system;
grant select on pgstac.collections, pgstac.base_items to opstac_app, opstac_system;

-- only who may create roles can give one to another: the user that migrates
set local role none;
grant pgstac_read to opstac_stac;
set local role opstac_owner;

grant select on organization_slot to opstac_stac;
create policy public_slot on organization_slot for select to opstac_stac using (public);

create function provision_slot(p_public boolean default false) returns text
language plpgsql set search_path = opstac, pgstac, public as $$
declare
  v_slot text := 'slot_' || translate(gen_random_uuid()::text, '-', '');
begin
  perform pgstac.opstac_make_slot(v_slot);
  insert into opstac.organization_slot (slot, public) values (v_slot, p_public);
  return v_slot;
end $$;
comment on function provision_slot is 'Make one free slot; maintenance only, as opstac_system.';
revoke all on function provision_slot from public;
grant execute on function provision_slot to opstac_system;

set local role opstac_system;
select opstac.provision_slot() from generate_series(1, 8);
select opstac.provision_slot(p_public => true);
set local role opstac_owner;

-- ---------------------------------------------------------------- writing items

create function slot_partition(p_slot text) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_partition text;
begin
  -- row-level security lets the caller see its own slot only, so another one is never written or read
  select '_items_' || c.key into v_partition
  from opstac.organization_slot s join pgstac.collections c on c.id = s.slot
  where s.slot = p_slot;
  if v_partition is null then
    raise exception 'slot % does not belong to the bound organization', p_slot using errcode = 'OP003';
  end if;
  return v_partition;
end $$;
comment on function slot_partition is 'The table that holds a slot''s items; raises for a slot of somebody else.';

create function put_items(p_slot text, p_items jsonb) returns integer
language plpgsql set search_path = opstac, pgstac, public as $$
declare
  v_count integer;
begin
  -- straight into the partition: through `items` or its staging tables every writer of the
  -- organization would wait for one row of partition_stats
  execute format(
    'insert into pgstac.%I as old (id, geometry, collection, datetime, end_datetime, content, private)
     select d.id, d.geometry, d.collection, d.datetime, d.end_datetime, d.content, d.private
     from jsonb_array_elements($1) e
     cross join lateral pgstac.content_dehydrate(e || jsonb_build_object(''collection'', $2)) d
     order by d.id
     on conflict (id) do update
       set geometry = excluded.geometry, datetime = excluded.datetime,
           end_datetime = excluded.end_datetime, content = excluded.content',
    opstac.slot_partition(p_slot)) using p_items, p_slot;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

create function patch_item(p_slot text, p_item jsonb) returns boolean
language plpgsql set search_path = opstac, pgstac, public as $$
declare
  v_count integer;
begin
  execute format(
    'update pgstac.%I as old
     set geometry = d.geometry, datetime = d.datetime, end_datetime = d.end_datetime, content = d.content
     from pgstac.content_dehydrate($1 || jsonb_build_object(''collection'', $2)) d
     where old.id = d.id',
    opstac.slot_partition(p_slot)) using p_item, p_slot;
  get diagnostics v_count = row_count;
  return v_count = 1;
end $$;

create function remove_items(p_slot text, p_ids text[]) returns integer
language plpgsql set search_path = opstac, pgstac, public as $$
declare
  v_count integer;
begin
  execute format(
    'delete from pgstac.%I where id in
       (select id from pgstac.%1$I where id = any ($1) order by id for update)',
    opstac.slot_partition(p_slot)) using p_ids;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

revoke all on function put_items, patch_item, remove_items from public;
grant execute on function put_items, patch_item, remove_items to opstac_app, opstac_system;

-- ---------------------------------------------------------------- searching

create function search_items(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb,
  p_limit integer, p_offset integer, p_after jsonb, p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_partition text;
  v_where text := 'true';
  v_full text;
  v_order text := 'datetime desc, id desc';
  v_plan jsonb;
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  v_partition := opstac.slot_partition(p_slot);
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
  if p_search ?| array['bbox', 'intersects', 'datetime', 'filter'] then
    v_where := v_where || ' and (' || pgstac.stac_search_to_where(p_search) || ')';
  end if;
  if p_reverse or p_search ? 'sortby' then
    v_order := pgstac.sort_sqlorderby(p_search, p_reverse, '{id}', array[p_slot]);
  end if;
  v_full := v_where;
  if p_after is not null then
    -- the place to go on from comes with its values, so it is found even when the item is gone
    v_full := v_where || ' and ' || pgstac.get_token_filter(
      p_search->'sortby',
      row(p_after->>'id', null, p_slot, (p_after->>'datetime')::timestamptz,
          (p_after->>'end_datetime')::timestamptz, p_after->'content', null)::pgstac.items,
      p_reverse, false, array[p_slot]);
  end if;
  execute format(
    'select ''['' || string_agg(
       ''{"id":'' || to_json(r.id) || '',"datetime":'' || to_json(r.datetime)
       || '',"end_datetime":'' || to_json(r.end_datetime)
       || '',"geometry":'' || coalesce(st_asgeojson(r.geometry, 20), ''null'')
       || '',"content":'' || r.content::text || ''}'', '','') || '']''
     from (select id, datetime, end_datetime, geometry, content
           from pgstac.%I where %s order by %s limit %s offset %s) r',
    v_partition, v_full, v_order, p_limit, p_offset) into rows;
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
-- volatile only because a stable function may not EXPLAIN; it writes nothing
comment on function search_items is
  'One page of one slot, in the organization p_org. p_projects: what the caller may see, null for all. '
  'p_collections and p_ids: platform ids or the names clients see. p_search: the rest, as pgstac takes it. '
  'p_after: the values of the row to go on from. p_count: how far to count exactly, null not to count.';
revoke all on function search_items from public;
grant execute on function search_items to opstac_stac;
revoke all on function slot_partition from public;
grant execute on function slot_partition to opstac_app, opstac_system, opstac_stac;

-- ---------------------------------------------------------------- collections, as STAC shows them

create function stac_names(p_org text, p_projects text[], p_names text[])
returns table (name text, id text, slug text)
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query
    -- two look-ups by index: one with "id or slug" would read every collection
    select c.id, c.id, c.slug
    from opstac.collection c
    where c.id = any (p_names)
      and c.deleted_at is null and (p_projects is null or c.project_id = any (p_projects))
    union all
    select c.slug, c.id, c.slug
    from opstac.collection c
    where c.organization_id = p_org and c.slug = any (p_names) and c.slug <> c.id
      and c.deleted_at is null and (p_projects is null or c.project_id = any (p_projects))
    union all
    select p.id, p.id, p.id
    from opstac.project p
    where p.id = any (p_names) and p.deleted_at is null
      and (p_projects is null or p.id = any (p_projects));
end $$;
comment on function stac_names is 'What names of collections (id or slug) and of projects stand for; unknown ones are left out.';

create function stac_collections(
  p_org text, p_projects text[], p_names text[], p_limit integer, p_offset integer
)
returns table (
  id text, slug text, project_id text, title text, description text, stac jsonb,
  created_at timestamptz, updated_at timestamptz
)
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query
    select * from (
      select c.id, c.slug, c.project_id, c.name, c.description, c.stac, c.created_at, c.updated_at
      from opstac.collection c join opstac.project p on p.id = c.project_id
      where c.deleted_at is null and p.deleted_at is null
        and (p_projects is null or c.project_id = any (p_projects))
        and (p_names is null or c.id in (select named.id from opstac.stac_names(p_org, p_projects, p_names) named))
      union all
      -- items in no collection are shown in one that is named after their project
      select p.id, p.id, p.id, p.name, p.description, '{}'::jsonb, p.created_at, p.updated_at
      from opstac.project p
      where p.deleted_at is null and (p_projects is null or p.id = any (p_projects))
        and (p.id = any (p_names) or p_names is null and exists (
          select from opstac.item i
          where coalesce(i.collection_id, i.project_id) = p.id and i.deleted_at is null))
    ) shown
    order by shown.created_at, shown.id
    limit p_limit offset p_offset;
end $$;

create function stac_extents(p_org text, p_slot text, p_projects text[], p_ids text[])
returns table (
  id text, west float8, south float8, east float8, north float8,
  first_at timestamptz, last_at timestamptz, items bigint
)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query execute format(
    'select collection, st_xmin(box), st_ymin(box), st_xmax(box), st_ymax(box), first_at, last_at, items
     from (select to_text(content->''properties''->''opstac:collection'') as collection,
                  st_extent(geometry) as box, min(datetime) as first_at, max(end_datetime) as last_at,
                  count(*) as items
           from pgstac.%I
           where to_text(content->''properties''->''opstac:collection'') = any ($1)
             and ($2 is null or to_text(content->''properties''->''opstac:project'') = any ($2))
           group by 1) e',
    opstac.slot_partition(p_slot)) using p_ids, p_projects;
end $$;
comment on function stac_extents is 'Extents of collections, over the items that the caller may see.';

create function stac_default_project(p_org text, p_projects text[]) returns text
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return (
    select p.id from opstac.project p
    where p.deleted_at is null and not p.is_archived and (p_projects is null or p.id = any (p_projects))
    order by p.created_at, p.id limit 1);
end $$;
comment on function stac_default_project is 'Where a STAC write goes that names no project: the oldest in use.';

revoke all on function stac_names, stac_collections, stac_extents, stac_default_project from public;
grant execute on function stac_names, stac_collections, stac_extents, stac_default_project to opstac_stac;
