-- Every item with a raster of ours has a thumbnail and an overview, drawn when the raster comes in. What is
-- still to be drawn is a row here, written by whoever brings the raster, so that nothing is forgotten.

create table item_picture (
  item_id text primary key,
  organization_id text not null,
  signature text,
  asset_ids text[] not null default '{}',
  asked_at timestamptz not null default now(),
  foreign key (organization_id, item_id) references item (organization_id, id)
);
create index item_picture_due on item_picture (asked_at) where signature is null;
call protect('item_picture');
grant select, insert, update, delete on item_picture to opstac_app;
comment on table item_picture is
  'The pictures of an item: signature says what was drawn, or tried in vain; null asks for it.';

create function ask_for_picture() returns trigger
language plpgsql set search_path = opstac, pg_temp as $$
begin
  insert into item_picture (item_id, organization_id)
  select distinct a.item_id, a.organization_id from added a where a.band_count > 0 and a.object_path is not null
  on conflict (item_id) do update set signature = null, asked_at = now();
  return null;
end $$;
create trigger ask_for_picture after insert on asset
  referencing new table as added for each statement execute function ask_for_picture();

-- items that were here before
insert into item_picture (item_id, organization_id)
select distinct a.item_id, a.organization_id
from asset a join item i on i.id = a.item_id
where a.band_count > 0 and a.object_path is not null and a.deleted_at is null and i.deleted_at is null;
