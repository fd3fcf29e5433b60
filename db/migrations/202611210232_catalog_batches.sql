-- Hundreds of items in one operation: documents and lineage are written by the set.

-- ---------------------------------------------------------------- documents

create function dehydrator(p_slot text, out base jsonb, out tag jsonb)
language sql stable set search_path = opstac, pgstac, public as $$
  select b.base_item, jsonb_strip_nulls(jsonb_build_object('pgstac:base_item', b.base_item_id))
  from pgstac.current_base_item(p_slot) b
$$;
comment on function dehydrator is 'What pgstac leaves out of each document of a slot, and how it marks them.';

create function stored_form(p_base jsonb) returns text
language sql immutable set search_path = opstac, pg_temp as $$
  -- A slot's base item says no more than stac_version, so what pgstac.content_dehydrate makes of an item
  -- (a recursive function, 15 times the cost of the insert) is this; for any other base it is called.
  select case when jsonb_strip_nulls(p_base) - '{id,geometry,collection,type,stac_version}'::text[] = '{}' then
    'select e ->> ''id'' as id, st_geomfromgeojson(e ->> ''geometry'') as geometry, $2 as collection,
            lower(r.moment) as datetime, upper(r.moment) as end_datetime,
            jsonb_strip_nulls(case
              when e -> ''stac_version'' = $3 -> ''stac_version'' then e - ''stac_version''
              when e ->> ''stac_version'' is null and $3 ? ''stac_version''
                then e || ''{"stac_version": "𒍟※"}''
              else e end - ''{id,geometry,collection,type,pgstac:base_item}''::text[]) || $4 as content
     from jsonb_array_elements($1) e
     cross join lateral (select e -> ''properties'' as p) o
     cross join lateral (
       select case when p ->> ''start_datetime'' is not null and p ->> ''end_datetime'' is not null
                then tstzrange((p ->> ''start_datetime'')::timestamptz, (p ->> ''end_datetime'')::timestamptz, ''[]'')
                else tstzrange((p ->> ''datetime'')::timestamptz, (p ->> ''datetime'')::timestamptz, ''[]'')
              end as moment) r'
  else
    'select d.id, d.geometry, d.collection, d.datetime, d.end_datetime, d.content
     from jsonb_array_elements($1) e
     cross join lateral pgstac.content_dehydrate(e || jsonb_build_object(''collection'', $2)) d
     where ($3, $4) is not null'
  end
$$;
comment on function stored_form is
  'The query from documents ($1) of a slot ($2) to its rows; $3 and $4 are what dehydrator() says of it.';

create or replace function put_items(p_slot text, p_items jsonb) returns integer
language plpgsql set search_path = opstac, pgstac, public as $$
declare
  v_count integer;
  d record;
begin
  select * into d from opstac.dehydrator(p_slot);
  -- straight into the partition: through `items` or its staging tables every writer of the
  -- organization would wait for one row of partition_stats
  execute format(
    'insert into pgstac.%I as old (id, geometry, collection, datetime, end_datetime, content)
     select * from (%s) d
     order by id
     on conflict (id) do update
       set geometry = excluded.geometry, datetime = excluded.datetime,
           end_datetime = excluded.end_datetime, content = excluded.content',
    opstac.slot_partition(p_slot), opstac.stored_form(d.base)) using p_items, p_slot, d.base, d.tag;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

create or replace function patch_item(p_slot text, p_item jsonb) returns boolean
language plpgsql set search_path = opstac, pgstac, public as $$
declare
  v_count integer;
  d record;
begin
  select * into d from opstac.dehydrator(p_slot);
  execute format(
    'update pgstac.%I as old
     set geometry = d.geometry, datetime = d.datetime, end_datetime = d.end_datetime, content = d.content
     from (%s) d
     where old.id = d.id',
    opstac.slot_partition(p_slot), opstac.stored_form(d.base))
    using jsonb_build_array(p_item), p_slot, d.base, d.tag;
  get diagnostics v_count = row_count;
  return v_count = 1;
end $$;

revoke all on function dehydrator, stored_form from public;
grant execute on function dehydrator, stored_form to opstac_app, opstac_system;

-- ---------------------------------------------------------------- the end of an operation

create or replace function kernel_finish(p jsonb, p_body bytea) returns void
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  v_org text := opstac.org();
  v_at timestamptz := clock_timestamp();
  posting jsonb;
  edge jsonb;
  h hold;
  j journal;
  seqs bigint[] := '{}';
  prevs bytea[] := '{}';
  hashes bytea[] := '{}';
  v_said jsonb := jsonb_build_array(p ->> 'invocation_id', p ->> 'operation', opstac.utc(v_at));
  a audit;
  head chain_head;
  d_available bigint;
  d_held bigint;
  other text;
  d_other bigint;
  journals journal[] := '{}';
  lines jsonb[] := '{}';
begin
  insert into event (id, organization_id, type, entity_type, entity_id, project_id, data)
  select e.id, v_org, e.type, e.entity_type, e.entity_id, e.project_id, e.data
  from jsonb_to_recordset(p -> 'events')
    as e (id text, type text, entity_type text, entity_id text, project_id text, data jsonb);

  if p ->> 'key' is not null then
    update idempotency_key
    set state = coalesce(p ->> 'key_state', 'done'), status = (p ->> 'status')::integer,
        content_type = p ->> 'content_type', body = p_body, encrypted = coalesce((p ->> 'encrypted')::boolean, false),
        project_id = p ->> 'project_id',
        lease_until = case when p ->> 'key_state' = 'running'
                           then now() + make_interval(secs => (p ->> 'lease_seconds')::float8) end
    where organization_id = v_org and operation = p ->> 'operation' and key = p ->> 'key';
    if not found then
      -- the organization was made by this very operation, so there was nothing to claim the key in
      insert into idempotency_key (organization_id, operation, key, fingerprint, status, content_type, body,
                                   encrypted, project_id)
      values (v_org, p ->> 'operation', p ->> 'key', decode(p ->> 'fingerprint', 'hex'), (p ->> 'status')::integer,
              p ->> 'content_type', p_body, coalesce((p ->> 'encrypted')::boolean, false), p ->> 'project_id');
    end if;
  end if;

  -- wallets, then the chain head: the rows every writer of the organization meets are locked last,
  -- and always in this order
  if jsonb_array_length(coalesce(p -> 'postings', '[]')) > 0 then
    perform 1 from account where organization_id = v_org and kind in ('available', 'held')
    order by kind for no key update;
  end if;
  for posting in select value from jsonb_array_elements(p -> 'postings') loop
    j := null;
    j.kind := posting ->> 'kind';
    j.charged := 0;
    j.hold_id := posting ->> 'hold_id';
    j.amount := (posting ->> 'amount')::bigint;
    other := null;
    d_other := 0;
    if j.kind = 'hold' then
      insert into hold (id, organization_id, amount, job_id, expires_at)
      values (j.hold_id, v_org, j.amount, posting ->> 'job_id', (posting ->> 'expires_at')::timestamptz);
      d_available := -j.amount;
      d_held := j.amount;
    elsif j.kind in ('settle', 'void') then
      select * into h from hold where id = j.hold_id and organization_id = v_org for update;
      if h.id is null or h.state <> 'open' then
        raise exception 'hold % is not open', j.hold_id using errcode = 'OP004';
      end if;
      j.charged := case when j.kind = 'settle' then least(j.amount, h.amount) else 0 end;
      j.amount := h.amount;
      update hold
      set state = case when j.kind = 'settle' then 'settled' else 'voided' end,
          settled = case when j.kind = 'settle' then j.charged end, ended_at = v_at
      where id = h.id;
      d_held := -h.amount;
      d_available := h.amount - j.charged;
      other := 'revenue';
      d_other := j.charged;
    else
      d_available := j.amount;
      d_held := 0;
      other := case j.kind when 'topup' then 'funding' when 'refund' then 'revenue' when 'expiry' then 'expired'
                           else 'grants' end;
      d_other := -j.amount;
    end if;
    with changed as (
      update account
      set balance = balance + case kind when 'available' then d_available else d_held end
      where organization_id = v_org and kind in ('available', 'held')
      returning kind, balance
    )
    select max(balance) filter (where kind = 'available'), max(balance) filter (where kind = 'held')
      into j.available_after, j.held_after
    from changed;
    j.id := posting ->> 'id';
    j.organization_id := v_org;
    j.reference_type := posting ->> 'reference_type';
    j.reference_id := posting ->> 'reference_id';
    j.description := posting ->> 'description';
    j.actor := p ->> 'principal_id';
    j.invocation_id := p ->> 'invocation_id';
    j.created_at := clock_timestamp();
    journals := journals || j;
    lines := lines || (
      select jsonb_agg(jsonb_build_array(t.account, t.amount) order by t.account)
      from (values (v_org || ':available', d_available), (v_org || ':held', d_held), (other, d_other))
        as t (account, amount)
      where t.amount <> 0);
  end loop;

  select * into head from chain_head where organization_id = v_org for update;
  if not found then
    insert into chain_head (organization_id) values (v_org) on conflict do nothing;
    select * into head from chain_head where organization_id = v_org for update;
  end if;

  for k in 1 .. coalesce(array_length(journals, 1), 0) loop
    j := journals[k];
    head.ledger_seq := head.ledger_seq + 1;
    j.seq := head.ledger_seq;
    j.prev := head.ledger_hash;
    j.hash := link(j.prev, journal_text(j, lines[k]));
    head.ledger_hash := j.hash;
    insert into journal values (j.*);
    insert into entry (journal_id, account_id, organization_id, amount)
    select j.id, e.value ->> 0, v_org, (e.value ->> 1)::bigint from jsonb_array_elements(lines[k]) e;
  end loop;

  -- a chain is a loop, but its rows are inserted at once; the text is that of lineage_text()
  for edge in select value from jsonb_array_elements(p -> 'edges') loop
    head.lineage_seq := head.lineage_seq + 1;
    seqs := seqs || head.lineage_seq;
    prevs := prevs || head.lineage_hash;
    head.lineage_hash := sha256(head.lineage_hash || convert_to(
      (jsonb_build_array(v_org, head.lineage_seq) || edge || v_said)::text, 'UTF8'));
    hashes := hashes || head.lineage_hash;
  end loop;
  insert into lineage (organization_id, seq, src_type, src_id, relation, dst_type, dst_id, invocation_id, operation,
                       at, prev, hash)
  select v_org, t.seq, e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4,
         p ->> 'invocation_id', p ->> 'operation', v_at, t.prev, t.hash
  from unnest(seqs, prevs, hashes) with ordinality as t (seq, prev, hash, place)
  join jsonb_array_elements(p -> 'edges') with ordinality as e (value, place) using (place);

  a := null;
  head.audit_seq := head.audit_seq + 1;
  a.organization_id := v_org;
  a.seq := head.audit_seq;
  a.at := v_at;
  a.request_id := p ->> 'request_id';
  a.invocation_id := p ->> 'invocation_id';
  a.operation := p ->> 'operation';
  a.principal_kind := p ->> 'principal_kind';
  a.principal_id := p ->> 'principal_id';
  a.outcome := p ->> 'outcome';
  a.status := (p ->> 'status')::integer;
  a.entities := coalesce(p -> 'entities', '[]');
  a.detail := p ->> 'detail';
  a.prev := head.audit_hash;
  a.hash := link(a.prev, audit_text(a));
  head.audit_hash := a.hash;
  insert into audit values (a.*);

  update chain_head
  set lineage_seq = head.lineage_seq, lineage_hash = head.lineage_hash,
      audit_seq = head.audit_seq, audit_hash = head.audit_hash,
      ledger_seq = head.ledger_seq, ledger_hash = head.ledger_hash, updated_at = v_at
  where organization_id = v_org;
end $$;
