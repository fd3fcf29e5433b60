-- What an organization uses, by day of UTC: counters of reads, and how much it had stored.

alter table usage_counter alter column day set default ((now() at time zone 'UTC')::date);
comment on table usage_counter is
  'A figure of a day: counts of reads (tile_requests, public_search_requests, public_file_requests) and bytes sent '
  '(egress_bytes), and of what is stored the last (storage_bytes) and the most (storage_peak_bytes).';

create function storage_by_day() returns trigger
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  today date := (now() at time zone 'UTC')::date;
begin
  insert into usage_counter (organization_id, day, metric, value)
  values (new.organization_id, today, 'storage_bytes', new.storage_used_bytes)
  on conflict (organization_id, day, metric) do update set value = excluded.value;
  -- a day's first change also says what there was until then
  insert into usage_counter (organization_id, day, metric, value)
  values (new.organization_id, today, 'storage_peak_bytes', greatest(old.storage_used_bytes, new.storage_used_bytes))
  on conflict (organization_id, day, metric) do update set value = greatest(usage_counter.value, excluded.value);
  return null;
end $$;
create trigger storage_by_day after update of storage_used_bytes on organization for each row
when (new.storage_used_bytes is distinct from old.storage_used_bytes)
execute function storage_by_day();
revoke all on function storage_by_day from public;
alter function storage_by_day() owner to opstac_system;
grant execute on function storage_by_day to opstac_app;

insert into usage_counter (organization_id, metric, value)
select organization_id, m.metric, storage_used_bytes
from organization cross join (values ('storage_bytes'), ('storage_peak_bytes')) as m (metric)
where storage_used_bytes > 0;

create index journal_charges on journal (organization_id, created_at) where kind = 'settle';
