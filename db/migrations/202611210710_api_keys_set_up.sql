-- What a key set up ends with it, as what a person set up does: who had the key knows the receiver of a
-- webhook, and token and password of a share link.

alter table share_link add column created_by_key text references api_key;
alter table event_subscription add column created_by_key text references api_key;
create index on share_link (created_by_key) where created_by_key is not null;
create index on event_subscription (created_by_key) where created_by_key is not null;
comment on column share_link.created_by_key is 'The key that made it, until it is kept without one.';
comment on column event_subscription.created_by_key is
  'The key that made it or enabled it last; null for a person''s, and for what is kept without one.';
