-- name: months
-- Months are those of UTC. What was stored in one without a change is what the last change before left.
with month as (
  select m.first, m.first at time zone 'UTC' as begins, (m.first + interval '1 month') at time zone 'UTC' as ends
  from (select date_trunc('month', now() at time zone 'UTC') - make_interval(months => n) as first
        from generate_series(0, :count::integer - 1) as n) m
)
select to_char(m.first, 'YYYY-MM') as month, s.storage_bytes, greatest(s.storage_bytes, c.peak) as peak_storage_bytes,
       c.tile_requests, c.public_search_requests, c.public_file_requests, c.egress_bytes,
       j.jobs, j.compute_seconds, l.credits_used
from month m
cross join lateral (
  select coalesce(case when now() < m.ends then (select o.storage_used_bytes from organization o
                                                 where o.organization_id = :org)
    else (select u.value from usage_counter u
          where u.organization_id = :org and u.metric = 'storage_bytes' and u.day < m.first + interval '1 month'
          order by u.day desc limit 1) end, 0) as storage_bytes
) s
cross join lateral (
  select coalesce(max(u.value) filter (where u.metric = 'storage_peak_bytes'), 0) as peak,
         coalesce(sum(u.value) filter (where u.metric = 'tile_requests'), 0)::bigint as tile_requests,
         coalesce(sum(u.value) filter (where u.metric = 'public_search_requests'), 0)::bigint as public_search_requests,
         coalesce(sum(u.value) filter (where u.metric = 'public_file_requests'), 0)::bigint as public_file_requests,
         coalesce(sum(u.value) filter (where u.metric = 'egress_bytes'), 0)::bigint as egress_bytes
  from usage_counter u
  where u.organization_id = :org and u.day >= m.first and u.day < m.first + interval '1 month'
) c
cross join lateral (
  select count(*) filter (where j.status = 'completed') as jobs,
         coalesce(round(sum(extract(epoch from j.completed_at - j.started_at))), 0)::bigint as compute_seconds
  from job j
  where j.organization_id = :org and j.started_at is not null
    and j.completed_at >= m.begins and j.completed_at < m.ends
) j
cross join lateral (
  select coalesce(sum(x.charged), 0)::bigint as credits_used
  from journal x
  where x.organization_id = :org and x.kind = 'settle' and x.created_at >= m.begins and x.created_at < m.ends
) l
order by m.first desc;

-- name: lock_storage
select storage_used_bytes, storage_quota_bytes, storage_reserved_bytes
from organization where organization_id = :org for no key update;

-- name: stored_bytes
-- Of a deleted project no file is seen here. Those of a collection that is deleted count until their batch, which takes
-- them off itself.
select coalesce(sum(size_bytes), 0)::bigint as bytes
from (select distinct on (a.object_path) a.size_bytes
      from asset a
      where a.organization_id = :org and a.deleted_at is null and a.object_path is not null
      order by a.object_path) files;

-- name: set_storage
update organization set storage_used_bytes = :bytes, updated_at = now() where organization_id = :org;
