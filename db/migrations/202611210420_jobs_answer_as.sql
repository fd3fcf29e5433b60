-- How the client of a job asked for its results, for the results that are fetched later.
alter table job add column answer_as jsonb;
comment on column job.answer_as is
  'Of an execution request: response (raw, document) and outputs (id to transmission mode). Null: all, as a document.';
