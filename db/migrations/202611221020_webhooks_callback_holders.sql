-- Who gave the address of a job's messages: it is told nothing any more once they may not read in the job's project.
alter table job_callback add column holder text not null default '';
grant update (holder) on job_callback to opstac_app;
comment on table job_callback is 'Where to send word of a job. Written with the job.';
comment on column job_callback.holder is
  'Who gave the address, a key or a user; empty for the platform, and for a key''s that is kept without it.';
