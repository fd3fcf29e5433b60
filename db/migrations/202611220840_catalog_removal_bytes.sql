-- What a deletion under way has yet to remove counts until the batch that removes it. Deletions begun before took all of
-- their bytes off at once: here what is left of them is put back, and each batch takes its own off again.
set local role opstac_system;
update organization o
set storage_used_bytes = l.bytes, updated_at = now()
from (
  select f.organization_id, sum(f.size_bytes) as bytes
  from (select distinct on (a.organization_id, a.object_path) a.organization_id, a.size_bytes
        from asset a
        where a.organization_id in (select r.organization_id from removal r)
          and a.deleted_at is null and a.object_path is not null
        order by a.organization_id, a.object_path) f
  group by 1) l
where o.organization_id = l.organization_id;
set local role opstac_owner;
