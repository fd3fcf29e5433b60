-- The last lines of what a job's runs said, kept with the job so that a failure can be understood.

alter table job add column log text[] not null default '{}';
comment on column job.log is 'Last lines of its runs, oldest first; cleaned of paths, addresses and secrets.';

create function log_tail(p_log text[], p_lines text[]) returns text[]
language sql immutable parallel safe as $$
  select coalesce((p_log || p_lines)[greatest(1, cardinality(p_log || p_lines) - 59):], '{}')
$$;
comment on function log_tail is 'A log with lines added: its last 60.';
