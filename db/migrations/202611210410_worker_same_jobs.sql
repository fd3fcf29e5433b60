-- Of two jobs that would make the same, the second waits for the first: it then answers from its result.

alter table job add column waits_for text;

comment on column job.waits_for is
  'The running job that makes the same: not claimed while that one runs. Only while dispatched.';
comment on column job.recipe_key is
  'SHA-256 of the recipe: jobs of one key give the same bytes. Set when a run knows it.';

create index job_being_made on job (organization_id, recipe_key)
  where recipe_key is not null and status = 'running';
create index job_waiting_for on job (waits_for) where waits_for is not null;
