-- name: let_go
-- A copy of an item shares its objects: they go with the last asset that names them. An asset of a deleted project
-- names its object until the batch that removes it, and then that lets go of it. Each path is looked up by itself: for
-- some hundred of them the planner would as soon read all assets that there are.
insert into removed_object (object_path, organization_id)
select distinct p.path, :org
from unnest(:paths::text[]) as p (path)
where (select a.id from asset a
       where a.organization_id = :org and a.object_path = p.path and a.deleted_at is null limit 1) is null
on conflict (object_path) do update set removed_at = now()
returning object_path;

-- name: due
select r.object_path,
       exists (select from asset a where a.object_path = r.object_path and a.deleted_at is null) as in_use
from removed_object r
where r.removed_at < now() - make_interval(secs => :seconds)
order by r.removed_at
limit :limit;

-- name: removed
delete from removed_object where object_path = any (:paths::text[]);

-- name: put_off
-- Twice as long each time, a day at most.
update removed_object
set attempts = attempts + 1,
    removed_at = now() + least(interval '1 day', interval '1 minute' * power(2, least(attempts, 11)))
where object_path = any (:paths::text[]);
