-- A deleted item lets go of its files at once. Those deleted before kept theirs, which nobody could remove and
-- which still counted; here they go too. What a deletion under way has yet to remove is free already.
set local role opstac_system;
create temporary table gone_file on commit drop as
with gone as (
  update asset a set deleted_at = now(), updated_at = now()
  from item i join project p on p.organization_id = i.organization_id and p.id = i.project_id
  where i.id = a.item_id and i.deleted_at is not null and a.deleted_at is null and p.deleted_at is null
  returning a.organization_id, a.object_path, a.size_bytes
)
select organization_id, object_path, max(size_bytes) as size_bytes
from gone where object_path is not null group by 1, 2;

delete from gone_file g using asset a, item i
where a.organization_id = g.organization_id and a.object_path = g.object_path and a.deleted_at is null
  and i.id = a.item_id;

insert into removed_object (object_path, organization_id)
select object_path, organization_id from gone_file
on conflict (object_path) do nothing;

update organization o
set storage_used_bytes = greatest(0, o.storage_used_bytes - g.bytes), updated_at = now()
from (select organization_id, sum(size_bytes) as bytes from gone_file group by 1) g
where o.organization_id = g.organization_id;
set local role opstac_owner;
