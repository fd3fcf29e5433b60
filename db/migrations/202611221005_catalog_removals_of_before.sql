-- What came to be before: objects that are shared already, and deletions under way, whose bytes the versions before
-- gave back in part, in whole or not at all. Here these are counted anew, and what is left of a project counts no more.
alter table asset validate constraint asset_has_project;

set local role opstac_system;
insert into shared_object (object_path, project_id, organization_id)
select distinct a.object_path, a.project_id, a.organization_id
from (select object_path from asset where deleted_at is null and object_path is not null
      group by object_path having count(*) > 1) s
join asset a on a.object_path = s.object_path and a.deleted_at is null
order by 1, 2
on conflict do nothing;

update removal set taken_bytes = 0 where taken_bytes is null;
select organization_id from organization where organization_id in (select organization_id from removal)
order by 1 for no key update;
update organization o
set storage_used_bytes = least(c.bytes, o.storage_quota_bytes - o.storage_reserved_bytes), updated_at = now()
from (
  select r.organization_id, coalesce(sum(f.size_bytes), 0) as bytes
  from (select distinct organization_id from removal) r
  left join (
    select distinct on (a.organization_id, a.object_path) a.organization_id, a.size_bytes
    from asset a
    where a.organization_id in (select organization_id from removal)
      and a.project_id not in (select project_id from removal where collection_id is null)
      and a.deleted_at is null and a.object_path is not null
    order by a.organization_id, a.object_path) f using (organization_id)
  group by 1) c
where o.organization_id = c.organization_id and o.storage_used_bytes <> c.bytes;
set local role opstac_owner;
