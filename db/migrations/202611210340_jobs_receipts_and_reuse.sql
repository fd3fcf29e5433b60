-- What a job was agreed to cost, what it was made from, its receipt, and whose result it may be given.

alter table job
  add column terms jsonb,
  add column receipt jsonb,
  add column recipe jsonb,
  add column recipe_key text,
  add column cached_from text,
  add column reuse_from text[] default '{}';
comment on column job.terms is 'The rate and the quantity its hold was computed from.';
comment on column job.receipt is 'What was charged and for what, written when the job is settled.';
comment on column job.recipe is
  'What the outputs are a function of: process, code, libraries, inputs, checksums of the sources; and the outputs'' checksums.';
comment on column job.recipe_key is 'SHA-256 of the recipe: jobs of one key give the same bytes.';
comment on column job.cached_from is 'The job whose outputs this one was given, instead of computing them again.';
comment on column job.reuse_from is
  'Projects whose results may answer this job, which its creator sees: null for all of the organization, empty for none.';
create index job_same_recipe on job (organization_id, recipe_key)
  where recipe_key is not null and status = 'completed' and deleted_at is null;

alter table lineage
  drop constraint lineage_relation_check,
  add constraint lineage_relation_check
    check (relation in ('derived_from', 'generated_by', 'used', 'part_of', 'exports', 'cached_from')) not valid;
