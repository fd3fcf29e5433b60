-- name: lock_claims
-- One claimer at a time, so that the limit of each organization is exact. Held for milliseconds.
select pg_advisory_xact_lock(:key)

-- name: claim_job
-- Start the next job: of the organizations below their limit the one with the fewest running for its
-- weight, then the one whose turn it is; within it by priority, then by age. Turns are start-time fair
-- queueing: a turn costs 1/weight of virtual time, and who was idle begins at the present (`now_turn`),
-- with no credit for the time before.
with recursive waiting (organization_id) as (
  (select organization_id from job where status = 'dispatched' order by organization_id limit 1)
  union all
  select (select j.organization_id
          from job j
          where j.status = 'dispatched' and j.organization_id > w.organization_id
          order by j.organization_id
          limit 1)
  from waiting w
  where w.organization_id is not null
),
runs (job_type_id, version) as (
  select * from unnest(:types::text[], :versions::text[])
),
present as (
  -- when the job started last had its turn
  select coalesce(max(s.turn - 1.0 / s.weight), 0) as now_turn from job_share s
),
turn as materialized (
  select w.organization_id,
    greatest(coalesce(s.turn, 0), present.now_turn) as starts,
    1.0 / coalesce(s.weight, 1) as costs
  from waiting w
  cross join present
  left join job_share s on s.organization_id = w.organization_id
  cross join lateral (
    select count(*) as jobs
    from job j
    where j.organization_id = w.organization_id and j.status = 'running'
  ) running
  cross join lateral (
    select j.dispatched_at
    from job j
    where j.organization_id = w.organization_id
      and j.status = 'dispatched'
      and (j.job_type_id, j.version) in (select * from runs)
      and (j.retry_at is null or j.retry_at <= statement_timestamp())
      and not exists (select 1 from job w where w.id = j.waits_for and w.status = 'running')
    order by j.priority desc, j.dispatched_at
    limit 1
  ) next
  where running.jobs < coalesce(s.running_limit, :running_limit)
  order by running.jobs::float8 / coalesce(s.weight, 1),
    greatest(coalesce(s.turn, 0), present.now_turn), next.dispatched_at, w.organization_id
),
picked as (
  select j.id, t.organization_id, t.starts + t.costs as ends
  from turn t
  cross join lateral (
    select j.id
    from job j
    where j.organization_id = t.organization_id
      and j.status = 'dispatched'
      and (j.job_type_id, j.version) in (select * from runs)
      and (j.retry_at is null or j.retry_at <= statement_timestamp())
      and not exists (select 1 from job w where w.id = j.waits_for and w.status = 'running')
    order by j.priority desc, j.dispatched_at, j.id
    limit 1
    for no key update skip locked
  ) j
  limit 1
),
taken as (
  insert into job_share (organization_id, turn)
  select organization_id, ends from picked
  on conflict (organization_id) do update set turn = excluded.turn
)
update job
set status = 'running',
    epoch = epoch + 1,
    attempts = attempts + 1,
    stage = null,
    worker = :worker,
    lease_until = statement_timestamp() + make_interval(secs => :lease_seconds),
    retry_at = null,
    waits_for = null,
    started_at = coalesce(started_at, statement_timestamp()),
    updated_at = statement_timestamp()
from picked
where job.id = picked.id
returning job.id, job.organization_id, job.project_id, job.job_type_id, job.version, job.epoch,
  job.attempts, job.input_params, job.source_item_ids, job.target_collection_id, job.created_by,
  job.cancel_requested, job.deadline

-- name: extend_lease
-- The heartbeat of a running job; no row where another epoch has it. The percentage never falls, also
-- where the work begins again: it is how far any attempt came.
update job
set lease_until = statement_timestamp() + make_interval(secs => :lease_seconds),
    progress = greatest(progress, :progress),
    stage = :stage,
    updated_at = statement_timestamp()
where id = :job_id and epoch = :epoch and status = 'running'
returning cancel_requested

-- name: job_state
select status, epoch from job where id = :job_id

-- name: release_job
-- Put a job back in line: after a passing error, or because its worker is stopping.
update job
set status = 'dispatched',
    attempts = attempts - :refund,
    lease_until = null,
    stage = null,
    retry_at = statement_timestamp() + make_interval(secs => :delay_seconds),
    log = log_tail(log, :log::text[]),
    updated_at = statement_timestamp()
where id = :job_id and epoch = :epoch and status = 'running'
returning retry_at

-- name: lock_recipe
-- One at a time decides who makes what has this key; a statement of its own, as `lock_claims`.
select pg_advisory_xact_lock(hashtextextended(:org || ' ' || :key, 0))

-- name: made_elsewhere
-- The running job that makes the same, where this one may be given its result.
select j.id
from job me
join job j on j.organization_id = me.organization_id and j.recipe_key = :key and j.id <> me.id
where me.id = :job_id
  and j.status = 'running'
  and j.lease_until > statement_timestamp()
  and (me.reuse_from is null or j.project_id = any (me.reuse_from))
  -- several items under another name cannot be given: one that made some says that these will be several
  and (j.input_params ->> 'output_name' is not distinct from me.input_params ->> 'output_name'
       or not exists (select from job d
                      where d.organization_id = me.organization_id and d.recipe_key = :key
                        and d.status = 'completed' and d.deleted_at is null
                        and cardinality(d.output_item_ids) > 1))
order by j.started_at, j.id
limit 1

-- name: make
update job set recipe_key = :key where id = :job_id and epoch = :epoch and status = 'running'

-- name: wait_for
-- Put a job back in line until another one does not run any more; the attempt does not count.
update job
set status = 'dispatched',
    attempts = attempts - 1,
    lease_until = null,
    stage = 'waiting-for-same-job',
    retry_at = null,
    waits_for = :other,
    recipe_key = null,
    updated_at = statement_timestamp()
where id = :job_id and epoch = :epoch and status = 'running'

-- name: waiting_for
select count(*) as jobs from job where waits_for = :job_id and status = 'dispatched'

-- name: disown
-- A worker that starts under a name drops the leases of whoever had that name: it is dead.
update job
set lease_until = statement_timestamp()
where worker = :worker and status = 'running' and lease_until > statement_timestamp()
