-- name: entries
select seq, reason, item_id, project_id, at
from saved_search_entry
where organization_id = :org and search_id = :id and seq > :after
  and (:projects::text[] is null or project_id = any (:projects))
order by seq
limit :limit;

-- name: lock_searches
select s.id, s.project_id, s.name, s.search, s.error
from saved_search s
left join project p on p.organization_id = :org and p.id = s.project_id
where s.organization_id = :org and s.deleted_at is null and p.deleted_at is null
order by s.id
for no key update of s;

-- name: take_due
with taken as (
  delete from saved_search_due
  where (event_id, item_id) in (
    select event_id, item_id from saved_search_due
    where organization_id = :org
    order by created_at, event_id
    limit :limit
    for update)
  returning event_id, item_id, created_at
)
select event_id, item_id from taken order by created_at, event_id;

-- name: names
select name, id from stac_names(:org, null, :names);

-- name: match
select id from match_items(:org, :slot, :projects, :collections, :ids, :search::jsonb, :among) as found (id);

-- name: note_error
update saved_search set error = :error where organization_id = :org and id = :id;

-- name: note
-- What is new about each item, numbered from the search's last number on. The search is locked.
with given as (
  select g.item_id, g.event_id, g.matches, g.place
  from jsonb_to_recordset(:rows::jsonb) as g (item_id text, event_id text, matches boolean, place integer)
),
happened as (
  select g.item_id, g.event_id, g.place,
         case when g.matches and coalesce(before.reason, 'left') = 'left' then 'entered'
              when g.matches then 'changed'
              when before.reason <> 'left' then 'left' end as reason
  from given g
  left join lateral (
    select e.reason from saved_search_entry e
    where e.organization_id = :org and e.search_id = :id and e.item_id = g.item_id
    order by e.seq desc limit 1) before on true
),
numbered as (
  select h.item_id, h.event_id, h.reason, i.project_id, s.last_seq + row_number() over (order by h.place) as seq
  from happened h
  join item i on i.organization_id = :org and i.id = h.item_id
  join saved_search s on s.organization_id = :org and s.id = :id
  where h.reason is not null
),
counted as (
  update saved_search s set last_seq = n.seq
  from (select max(seq) as seq from numbered) n
  where s.organization_id = :org and s.id = :id and n.seq is not null
)
insert into saved_search_entry (organization_id, search_id, seq, reason, item_id, project_id, event_id)
select :org, :id, n.seq, n.reason, n.item_id, n.project_id, n.event_id from numbered n
returning seq, item_id, reason;
