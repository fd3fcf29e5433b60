-- Areas that the operator offers to be clipped: an item of some organization, opened to others for this alone.

create table clip_area (
  area text primary key,
  title text not null,
  description text,
  item_id text not null references item (id) on delete cascade,
  mosaic_types text[] not null,
  open_to text[],
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table clip_area is 'Areas to clip, set by the operator. Not a tenant table: clip_areas() says who sees which.';
comment on column clip_area.item_id is 'The item whose rasters are the area''s mosaics.';
comment on column clip_area.mosaic_types is 'Keys of the assets that are offered.';
comment on column clip_area.open_to is 'The organizations that see it; null: all.';
create index on clip_area (item_id);
grant select, insert, update, delete on clip_area to opstac_system;

create function clip_areas(p_area text)
returns table (area text, title text, description text, item_id text, mosaic_types text[], geometry jsonb,
               bbox float8[], datetime timestamptz, start_datetime timestamptz, end_datetime timestamptz, gsd float8)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select c.area, c.title, c.description, c.item_id, c.mosaic_types, i.geometry, i.bbox, i.datetime,
         i.start_datetime, i.end_datetime, i.gsd
  from clip_area c join item i on i.id = c.item_id and i.deleted_at is null and i.lifecycle_state <> 'expired'
  where (p_area is null or c.area = p_area) and (c.open_to is null or org() = any (c.open_to))
  order by c.area
$$;
comment on function clip_areas is 'The areas that the caller''s organization may clip, or the one of this name.';

create function clip_area_item(p_item text) returns setof item
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.* from item i
  where i.id = p_item and i.deleted_at is null and i.lifecycle_state <> 'expired'
    and exists (select from clip_area c
                where c.item_id = i.id and (c.open_to is null or org() = any (c.open_to)))
$$;
comment on function clip_area_item is 'The item of an area that the caller''s organization may clip. Only clips read it.';

create function clip_area_assets(p_item text) returns setof asset
language sql stable security definer set search_path = opstac, pg_temp as $$
  select a.* from clip_area_item(p_item) i join asset a on a.item_id = i.id and a.deleted_at is null
  where exists (select from clip_area c where c.item_id = i.id and a.key = any (c.mosaic_types)
                  and (c.open_to is null or org() = any (c.open_to)))
$$;
comment on function clip_area_assets is 'The mosaics of such an item.';

create function set_clip_area(
  p_area text, p_title text, p_description text, p_item text, p_mosaic_types text[], p_open_to text[]
) returns boolean
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  if exists (select from clip_area c join item i on i.id = c.item_id
             where c.area = p_area and i.organization_id <> org() and i.deleted_at is null) then
    return false;
  end if;
  insert into clip_area (area, title, description, item_id, mosaic_types, open_to)
  select p_area, p_title, p_description, i.id, p_mosaic_types, p_open_to
  from item i where i.id = p_item and i.organization_id = org() and i.deleted_at is null
  on conflict (area) do update
  set title = excluded.title, description = excluded.description, item_id = excluded.item_id,
      mosaic_types = excluded.mosaic_types, open_to = excluded.open_to, updated_at = now();
  return found;
end $$;
comment on function set_clip_area is
  'Offers an item of the bound organization; false where there is no such item, or another''s item has the name.';

create function remove_clip_area(p_area text) returns boolean
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  delete from clip_area c using item i where c.area = p_area and i.id = c.item_id and i.organization_id = org();
  return found;
end $$;
comment on function remove_clip_area is 'Takes back an area of an item of the bound organization; whether there was one.';

revoke all on function clip_areas, clip_area_item, clip_area_assets, set_clip_area, remove_clip_area from public;
alter function clip_areas(text) owner to opstac_system;
alter function clip_area_item(text) owner to opstac_system;
alter function clip_area_assets(text) owner to opstac_system;
alter function set_clip_area(text, text, text, text, text[], text[]) owner to opstac_system;
alter function remove_clip_area(text) owner to opstac_system;
grant execute on function clip_areas, clip_area_item, clip_area_assets, set_clip_area, remove_clip_area to opstac_app;
