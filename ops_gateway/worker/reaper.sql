-- name: try_lock
-- A turn of this transaction; whoever hangs with it is idle, and loses it with the connection.
select pg_try_advisory_xact_lock(:key) as taken,
       set_config('idle_in_transaction_session_timeout', :patience, true) as patience

-- name: expire_leases
-- Running jobs whose worker is gone go back in line, but for those that had their chances.
with expired as (
  select id
  from job
  where status = 'running'
    and lease_until < statement_timestamp()
    and not cancel_requested
    and kills + 1 < :max_kills
    and attempts < :max_attempts
  order by lease_until
  limit 100
  for no key update skip locked
)
update job
set status = 'dispatched',
    kills = kills + 1,
    lease_until = null,
    stage = null,
    retry_at = statement_timestamp()
      + make_interval(secs => (:backoff::float8[])[least(attempts, cardinality(:backoff))]),
    log = log_tail(log, array[format(
      '%s attempt %s was lost with its worker%s',
      to_char(statement_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), attempts,
      ' at ' || progress::integer || ' %, ' || stage)]),
    updated_at = statement_timestamp()
from expired
where job.id = expired.id
returning job.id, job.organization_id, job.epoch, job.kills, job.retry_at

-- name: exhausted
-- Running jobs whose worker is gone and which shall not be tried again.
select id, organization_id, project_id, job_type_id, version, epoch, attempts, input_params,
  source_item_ids, target_collection_id, created_by, cancel_requested, deadline, kills
from job
where status = 'running'
  and lease_until < statement_timestamp()
  and (cancel_requested or kills + 1 >= :max_kills or attempts >= :max_attempts)
order by lease_until
limit 100

-- name: unwoken
-- How many jobs may start now, if no row is there to wake anybody.
select least(coalesce(sum(least(waiting.jobs, waiting.allowed - running.jobs)), 0), 8)::integer as jobs
from (
  select j.organization_id, count(*) as jobs,
    coalesce((select s.running_limit from job_share s where s.organization_id = j.organization_id),
             :running_limit) as allowed
  from job j
  where j.status = 'dispatched'
    and (j.retry_at is null or j.retry_at <= statement_timestamp())
    and not exists (select 1 from job w where w.id = j.waits_for and w.status = 'running')
    and exists (select 1 from registered_worker w
                where w.job_type_id = j.job_type_id and w.version = j.version
                  and w.queue = 'jobs' and w.active)
  group by j.organization_id
) waiting
cross join lateral (
  select count(*) as jobs
  from job j
  where j.organization_id = waiting.organization_id and j.status = 'running'
) running
where running.jobs < waiting.allowed
  and not exists (
    select 1
    from procrastinate_jobs q
    where q.queue_name = 'jobs' and q.task_name = 'wake' and q.status = 'todo'
      and (q.scheduled_at is null or q.scheduled_at <= statement_timestamp())
  )

-- name: tell_unserved
-- What a job waits for is said in its stage: no worker has its version, until one comes.
with told as (
  select j.id, w.name is null as unserved
  from job j
  left join lateral (
    select w.name from registered_worker w
    where w.job_type_id = j.job_type_id and w.version = j.version and w.active limit 1
  ) w on true
  where j.status = 'dispatched'
    and (w.name is null) is distinct from coalesce(j.stage = 'no-registered-worker', false)
  limit 500
  for no key update of j skip locked
)
update job
set stage = case when told.unserved then 'no-registered-worker' end, updated_at = statement_timestamp()
from told
where job.id = told.id

-- name: stalled_rows
-- Queue rows in the hands of a reader that is gone.
select q.id, q.task_name
from procrastinate_jobs q
left join procrastinate_workers w on w.id = q.worker_id
where q.status = 'doing'
  and (w.id is null or w.last_heartbeat < statement_timestamp() - make_interval(secs => :seconds))
order by q.id
limit 100

-- name: drop_row
-- A wake row holds nothing: jobs are found by their own state.
delete from procrastinate_jobs where id = :row_id and status = 'doing'

-- name: retry_row
select procrastinate_retry_job_v2(:row_id, statement_timestamp(), null, null, null)

-- name: forget_workers
delete from registered_worker
where heartbeat_at < statement_timestamp() - make_interval(secs => :seconds)
