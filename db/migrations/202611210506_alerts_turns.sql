-- Due events are claimed one organization after the other, the oldest of each first.
create index on alert_due (organization_id, next_at, event_id);
drop index alert_due_next_at_idx;
