-- What was not compared with the alert rules however often it was tried is kept for whoever looks.

alter table alert_due
  add column error text,
  add column given_up_at timestamptz;
comment on column alert_due.given_up_at is 'Since when nobody tries it any more; it can be asked for again.';
comment on column alert_due.error is 'What was in the way the last time.';
drop index alert_due_organization_id_next_at_event_id_idx;
create index alert_due_open on alert_due (organization_id, next_at, event_id) where given_up_at is null;
create index alert_due_given_up on alert_due (organization_id, given_up_at desc) where given_up_at is not null;
grant update on alert_due to opstac_app;
