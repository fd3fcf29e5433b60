-- name: live_entity
select project_id from item
where :type = 'item' and organization_id = :org and id = :id and deleted_at is null
union all
select i.project_id from asset a join item i on i.organization_id = a.organization_id and i.id = a.item_id
where :type = 'asset' and a.organization_id = :org and a.id = :id and a.deleted_at is null and i.deleted_at is null
union all
select project_id from job
where :type = 'processing_job' and organization_id = :org and id = :id and deleted_at is null
union all
select u.project_id from upload u join project p on p.organization_id = u.organization_id and p.id = u.project_id
where :type = 'upload' and u.organization_id = :org and u.id = :id and p.deleted_at is null
union all
select project_id from collection
where :type = 'collection' and organization_id = :org and id = :id and deleted_at is null
union all
select project_id from share_link
where :type = 'share_link' and organization_id = :org and id = :id
union all
select id from project
where :type = 'project' and organization_id = :org and id = :id and deleted_at is null;

-- name: ancestors
-- UNION, not UNION ALL: an edge enters each depth once, so neither a circle nor many paths to one
-- entity make it grow beyond edges x depth.
with recursive walk as (
  select 1 as depth, l.seq, l.src_type, l.src_id, l.relation, l.dst_type, l.dst_id, l.invocation_id
  from lineage l
  where l.organization_id = :org and l.src_type = :type and l.src_id = :id
    and (:projects::text[] is null or entity_project(l.dst_type, l.dst_id) = any (:projects))
  union
  select w.depth + 1, l.seq, l.src_type, l.src_id, l.relation, l.dst_type, l.dst_id, l.invocation_id
  from walk w
  join lineage l on l.organization_id = :org and l.src_type = w.dst_type and l.src_id = w.dst_id
  where w.depth < :max_depth
    and (:projects::text[] is null or entity_project(l.dst_type, l.dst_id) = any (:projects))
),
nearest as (
  select distinct on (seq) depth, seq, src_type, src_id, relation, dst_type, dst_id, invocation_id
  from walk
  order by seq, depth
)
select depth, src_type, src_id, relation, dst_type, dst_id, invocation_id
from nearest
order by depth, seq
limit :most;

-- name: descendants
with recursive walk as (
  select 1 as depth, l.seq, l.src_type, l.src_id, l.relation, l.dst_type, l.dst_id, l.invocation_id
  from lineage l
  where l.organization_id = :org and l.dst_type = :type and l.dst_id = :id
    and (:projects::text[] is null or entity_project(l.src_type, l.src_id) = any (:projects))
  union
  select w.depth + 1, l.seq, l.src_type, l.src_id, l.relation, l.dst_type, l.dst_id, l.invocation_id
  from walk w
  join lineage l on l.organization_id = :org and l.dst_type = w.src_type and l.dst_id = w.src_id
  where w.depth < :max_depth
    and (:projects::text[] is null or entity_project(l.src_type, l.src_id) = any (:projects))
),
nearest as (
  select distinct on (seq) depth, seq, src_type, src_id, relation, dst_type, dst_id, invocation_id
  from walk
  order by seq, depth
)
select depth, src_type, src_id, relation, dst_type, dst_id, invocation_id
from nearest
order by depth, seq
limit :most;
