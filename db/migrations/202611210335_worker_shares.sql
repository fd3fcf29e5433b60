-- How organizations share the workers, and jobs that wait for a worker of their version.

create table job_share (
  organization_id text primary key references organization,
  weight integer not null default 1 check (weight between 1 and 100),
  running_limit integer check (running_limit between 0 and 1000),
  turn float8 not null default 0,
  updated_at timestamptz not null default now()
);
comment on table job_share is
  'An organization''s part of the workers: weight against others, jobs at once (null: the platform''s setting), '
  'and the virtual time of its next turn, which each started job moves on by 1/weight.';
call protect('job_share');
grant select, insert, update on job_share to opstac_app;

-- a job whose door promised to dispatch it; the reaper sees to it where that came to nothing
alter table job add column dispatch_asked_at timestamptz;
create index job_dispatch_asked on job (dispatch_asked_at) where status = 'pending' and dispatch_asked_at is not null;
