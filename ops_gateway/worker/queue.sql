-- name: defer_wake
-- Procrastinate's own function for deferring, with the task `wake` of the queue `jobs`.
select unnest(queue.procrastinate_defer_jobs_v1(
  array[row('jobs', 'wake', 0, null, null, '{}'::jsonb, :at::timestamptz)::queue.procrastinate_job_to_defer_v1]
)) as id;
