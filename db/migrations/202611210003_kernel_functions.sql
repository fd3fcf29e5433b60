-- The kernel's fixed sequence as two functions around the handler, and the few look-ups that must
-- see past one tenant. All are SECURITY DEFINER as opstac_system, whose policy sees every row, so
-- each names the organization itself and callers get EXECUTE only.

-- ---------------------------------------------------------------- who is calling

create function authenticate_key(p_lookup text)
returns table (
  id text, organization_id text, slot text, secret_sha256 bytea, permissions text[],
  rate_limit integer, expired boolean, revoked boolean
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select k.id, k.organization_id, s.slot, k.secret_sha256, k.permissions, k.rate_limit,
         coalesce(k.expires_at <= now(), false), k.revoked_at is not null or o.deleted_at is not null
  from api_key k
  join organization o using (organization_id)
  left join organization_slot s using (organization_id)
  where k.lookup = p_lookup
$$;

create function authenticate_user(p_user uuid)
returns table (
  id uuid, email text, name text, disabled boolean, organization_id text, slot text, role text, projects jsonb
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select u.id, u.email, u.name, u.disabled_at is not null, m.organization_id, s.slot, m.role,
         case when m.role in ('owner', 'admin') then null
              else coalesce((select jsonb_object_agg(pm.project_id, pm.role)
                             from project_member pm join project p on p.id = pm.project_id
                             where pm.user_id = u.id and pm.organization_id = m.organization_id
                               and p.deleted_at is null), '{}') end
  from app_user u
  left join (organization_member m join organization o on o.organization_id = m.organization_id
             and o.deleted_at is null) on m.user_id = u.id
  left join organization_slot s on s.organization_id = m.organization_id
  where u.id = p_user
$$;

create function authenticate_job(p_job text)
returns table (organization_id text, slot text, status text, epoch integer, job_type_id text, project_id text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select j.organization_id, s.slot, j.status, j.epoch, j.job_type_id, j.project_id
  from job j left join organization_slot s using (organization_id)
  where j.id = p_job and j.deleted_at is null
$$;

create function touch_keys(p_ids text[]) returns void
language sql security definer set search_path = opstac, pg_temp as $$
  update api_key set last_used_at = now()
  where id = any (p_ids) and (last_used_at is null or last_used_at < now() - interval '1 minute')
$$;

create function public_slot() returns text
language sql stable security definer set search_path = opstac, pg_temp as $$
  select slot from organization_slot where public limit 1
$$;

create function take_slot() returns text
language sql security definer set search_path = opstac, pg_temp as $$
  update organization_slot set organization_id = opstac.org(), taken_at = now()
  where slot = (select slot from organization_slot where organization_id is null and not public
                order by slot limit 1 for update skip locked)
  returning slot
$$;
comment on function take_slot is 'Bind a free slot to the bound organization; null where none is free.';

create function free_slug(p_slug text, p_suffix text) returns text
language sql stable security definer set search_path = opstac, pg_temp as $$
  select case when exists (select 1 from organization where slug = p_slug)
              then p_slug || '-' || p_suffix else p_slug end
$$;

create function open_wallet() returns void
language sql security definer set search_path = opstac, pg_temp as $$
  insert into account (id, organization_id, kind, balance)
  values (org() || ':available', org(), 'available', 0), (org() || ':held', org(), 'held', 0)
$$;

create function organization_people()
returns table (user_id uuid, email text, name text, role text, created_at timestamptz)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select m.user_id, u.email, u.name, m.role, m.created_at
  from organization_member m join app_user u on u.id = m.user_id
  where m.organization_id = opstac.org()
  order by m.created_at, m.user_id
$$;

create function resolve_asset(p_item text, p_key text)
returns table (
  organization_id text, project_id text, item_id text, item_name text, asset_id text, asset_key text,
  object_path text, checksum text, media_type text, epsg integer, width integer, height integer,
  dtype text, nodata float8, nodata_is_nan boolean, band_names text[], bands jsonb, raster jsonb,
  is_categorical boolean, bbox float8[], version integer, profiles jsonb
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.organization_id, i.project_id, i.id, i.name, a.id, a.key, a.object_path, a.checksum, a.media_type,
         a.epsg, a.width, a.height, a.dtype, a.nodata, a.nodata_is_nan, a.band_names, a.bands, a.raster,
         a.is_categorical, i.bbox, a.version,
         coalesce((select jsonb_agg(jsonb_build_object('id', v.id, 'name', v.name, 'type', v.type,
                     'config', v.config, 'asset_key', v.asset_key, 'version', v.version,
                     'is_default', v.is_default) order by v.is_default desc, v.sort_order, v.created_at)
                   from visualization_profile v where v.item_id = i.id), '[]')
  from item i join asset a on a.item_id = i.id and a.deleted_at is null
  where i.id = p_item and i.deleted_at is null
    and (a.key = p_key or (p_key is null and a.band_count > 0))
  order by (a.key = 'data') desc, a.created_at, a.id
  limit 1
$$;
comment on function resolve_asset is
  'The raster asset a tile is drawn from, with its tenant: the caller checks who may see it.';

create function count_usage(p_org text, p_metric text, p_value bigint) returns void
language sql security definer set search_path = opstac, pg_temp as $$
  insert into usage_counter (organization_id, metric, value) values (p_org, p_metric, p_value)
  on conflict (organization_id, day, metric) do update set value = usage_counter.value + excluded.value
$$;

-- ---------------------------------------------------------------- the text each chained row is hashed by

create function utc(p timestamptz) returns text
language sql stable as $$ select to_char(p at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

create function lineage_text(r lineage) returns text
language sql stable as $$
  select jsonb_build_array(r.organization_id, r.seq, r.src_type, r.src_id, r.relation, r.dst_type, r.dst_id,
                           r.invocation_id, r.operation, opstac.utc(r.at))::text
$$;

create function audit_text(r audit) returns text
language sql stable as $$
  select jsonb_build_array(r.organization_id, r.seq, opstac.utc(r.at), r.request_id, r.invocation_id, r.operation,
                           r.principal_kind, r.principal_id, r.outcome, r.status, r.entities, r.detail)::text
$$;

create function journal_text(r journal, entries jsonb) returns text
language sql stable as $$
  select jsonb_build_array(r.organization_id, r.seq, r.id, r.kind, r.hold_id, r.amount, r.charged, r.available_after,
                           r.held_after, r.reference_type, r.reference_id, r.description, r.actor,
                           r.invocation_id, opstac.utc(r.created_at), entries)::text
$$;

create function journal_entries(p_journal text) returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_array(account_id, amount) order by account_id), '[]')
  from opstac.entry where journal_id = p_journal
$$;

create function link(prev bytea, content text) returns bytea
language sql immutable as $$ select sha256(prev || convert_to(content, 'UTF8')) $$;

-- ---------------------------------------------------------------- begin and finish

create function stored_answer(p_org text, p_operation text, p_key text)
returns table (
  fingerprint bytea, state text, status integer, content_type text, body bytea, encrypted boolean,
  project_id text, lapsed boolean
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select k.fingerprint, k.state, k.status, k.content_type, k.body, k.encrypted, k.project_id, k.lease_until < now()
  from idempotency_key k
  where k.organization_id = p_org and k.operation = p_operation and k.key = p_key and k.expires_at > now()
$$;

create function kernel_begin(
  p_org text, p_operation text, p_key text, p_fingerprint bytea, p_amount bigint, p_intent text,
  p_finishing boolean
)
returns table (
  outcome text, status integer, content_type text, body bytea, encrypted boolean, project_id text, intent text
)
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  claimed text;
  k idempotency_key;
begin
  perform set_config('opstac.org', p_org, true);
  if p_key is not null then
    -- whoever holds this lock is running the same key; the caller looks again in a moment and
    -- keeps no connection while it waits. It is free at once when the holder commits or dies.
    if not pg_try_advisory_xact_lock(
      hashtextextended(jsonb_build_array(p_org, p_operation, p_key)::text, 0)) then
      return query select 'busy', null::integer, null::text, null::bytea, false, null::text, null::text;
      return;
    end if;
    if p_finishing then
      -- the last transaction of a phased operation: only while its own claim stands
      update idempotency_key i set state = 'done'
      where i.organization_id = p_org and i.operation = p_operation and i.key = p_key
        and i.state = 'running' and i.intent_id = p_intent
      returning i.intent_id into claimed;
    else
      -- free, expired, or left running by a process that died: then its intent is taken up again
      insert into idempotency_key as i (organization_id, operation, key, fingerprint, intent_id)
      values (p_org, p_operation, p_key, p_fingerprint, p_intent)
      on conflict (organization_id, operation, key) do update
        set fingerprint = excluded.fingerprint, state = 'done', status = null, body = null,
            intent_id = case when i.expires_at < now() then excluded.intent_id else i.intent_id end,
            created_at = now(), expires_at = now() + interval '24 hours'
        where i.expires_at < now()
           or (i.state = 'running' and i.fingerprint = excluded.fingerprint and i.lease_until < now())
      returning i.intent_id into claimed;
    end if;
    if not found then
      select * into k from idempotency_key i
      where i.organization_id = p_org and i.operation = p_operation and i.key = p_key;
      if k.key is null then
        return query select 'gone', null::integer, null::text, null::bytea, false, null::text, null::text;
      elsif k.fingerprint <> p_fingerprint then
        return query select 'conflict', null::integer, null::text, null::bytea, false, null::text, null::text;
      elsif k.state = 'running' then
        return query select 'running', null::integer, null::text, null::bytea, false, null::text, null::text;
      else
        return query select 'replay', k.status, k.content_type, k.body, k.encrypted, k.project_id, k.intent_id;
      end if;
      return;
    end if;
  end if;
  if p_amount > 0 and not exists (
    select 1 from account a where a.organization_id = p_org and a.kind = 'available' and a.balance >= p_amount
  ) then
    return query select 'insufficient', null::integer, null::text, null::bytea, false, null::text, null::text;
    return;
  end if;
  return query select 'new', null::integer, null::text, null::bytea, false, null::text, coalesce(claimed, p_intent);
end $$;

create function kernel_finish(p jsonb, p_body bytea) returns void
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  v_org text := opstac.org();
  v_at timestamptz := clock_timestamp();
  posting jsonb;
  edge jsonb;
  h hold;
  j journal;
  l lineage;
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

  for edge in select value from jsonb_array_elements(p -> 'edges') loop
    l := null;
    head.lineage_seq := head.lineage_seq + 1;
    l.organization_id := v_org;
    l.seq := head.lineage_seq;
    l.src_type := edge ->> 0;
    l.src_id := edge ->> 1;
    l.relation := edge ->> 2;
    l.dst_type := edge ->> 3;
    l.dst_id := edge ->> 4;
    l.invocation_id := p ->> 'invocation_id';
    l.operation := p ->> 'operation';
    l.at := v_at;
    l.prev := head.lineage_hash;
    l.hash := link(l.prev, lineage_text(l));
    head.lineage_hash := l.hash;
    insert into lineage values (l.*);
  end loop;

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

-- ---------------------------------------------------------------- verification

create function verify_chains(p_org text)
returns table (chain text, seq bigint, problem text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  with rows as (
    select 'lineage' as chain, l.seq, l.prev, l.hash, link(l.prev, lineage_text(l)) as computed
    from lineage l where l.organization_id = p_org
    union all
    select 'audit', a.seq, a.prev, a.hash, link(a.prev, audit_text(a)) from audit a where a.organization_id = p_org
    union all
    select 'ledger', j.seq, j.prev, j.hash, link(j.prev, journal_text(j, journal_entries(j.id)))
    from journal j where j.organization_id = p_org
  ),
  walked as (
    select r.*, lag(r.seq) over w as before_seq, lag(r.hash) over w as before_hash,
           lead(r.seq) over w as after_seq
    from rows r window w as (partition by r.chain order by r.seq)
  ),
  heads as (
    select c.chain, c.seq, c.hash
    from chain_head h
    cross join lateral (values ('lineage', h.lineage_seq, h.lineage_hash), ('audit', h.audit_seq, h.audit_hash),
                               ('ledger', h.ledger_seq, h.ledger_hash)) as c (chain, seq, hash)
    where h.organization_id = p_org
  )
  select w.chain, w.seq, 'the row was altered: its content does not match its hash'
  from walked w where w.hash <> w.computed
  union all
  select w.chain, w.seq, 'rows are missing before this one'
  from walked w
  -- audit rows past keeping are dropped by the month, so that chain may begin later than 1
  where w.seq <> coalesce(w.before_seq + 1, case when w.chain = 'audit' then w.seq else 1 end)
  union all
  select w.chain, w.seq, 'the link to the row before is broken'
  from walked w
  where (w.before_hash is not null and w.prev <> w.before_hash)
     or (w.before_hash is null and w.seq = 1 and w.prev <> '\x00'::bytea)
  union all
  select h.chain, h.seq, 'the end of the chain is missing or does not match its head'
  from heads h left join walked w on w.chain = h.chain and w.after_seq is null
  where (w.seq is null and h.seq > 0) or w.seq <> h.seq or w.hash <> h.hash
  union all
  select distinct w.chain, 0::bigint, 'the chain has no head'
  from walked w where not exists (select 1 from heads)
$$;

create function ledger_faults() returns table (invariant text, faults bigint)
language sql stable security definer set search_path = opstac, pg_temp as $$
  with derived as (
    select a.id, a.organization_id, a.kind, a.balance, coalesce(sum(e.amount), 0) as total
    from account a left join entry e on e.account_id = a.id
    group by a.id
  )
  select 'all entries sum to zero', (select count(*) from (select sum(amount) as total from entry) t where total <> 0)
  union all
  select 'every journal balances', count(*) from (
    select from journal j left join entry e on e.journal_id = j.id
    group by j.id having coalesce(sum(e.amount), 1) <> 0 or count(e.amount) < 2
  ) t
  union all
  select 'no wallet is negative', count(*) from account where balance < 0
  union all
  select 'a cached balance is the sum of its entries', count(*) from derived
  where balance is not null and balance <> total
  union all
  select 'held is the sum of the open holds', count(*) from derived d
  where d.kind = 'held' and d.balance <> (
    select coalesce(sum(h.amount), 0) from hold h where h.organization_id = d.organization_id and h.state = 'open')
  union all
  select 'one journal opened each hold', count(*) from hold h
  where (select count(*) from journal j where j.hold_id = h.id and j.kind = 'hold') <> 1
  union all
  select 'one journal ended each ended hold', count(*) from hold h
  where (select count(*) from journal j where j.hold_id = h.id and j.kind in ('settle', 'void'))
        <> case when h.state = 'open' then 0 else 1 end
  union all
  select 'no hold outlives its job by ten minutes', count(*) from hold h join job b on b.id = h.job_id
  where h.state = 'open' and b.status in ('completed', 'failed', 'cancelled')
    and b.completed_at < now() - interval '10 minutes'
$$;
comment on function ledger_faults is
  'How often each law of the ledger is broken, over all organizations; every count must be 0.';

-- ---------------------------------------------------------------- rights

do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'opstac' and p.prosecdef and p.proname <> 'keep_partitions'
  loop
    execute format('revoke all on function %s from public', f);
    execute format('alter function %s owner to opstac_system', f);
  end loop;
end $$;
grant insert, update on account, hold to opstac_system;
grant execute on function authenticate_key, authenticate_user, authenticate_job, touch_keys, public_slot, take_slot,
  organization_people, free_slug, open_wallet, resolve_asset, count_usage, stored_answer, kernel_begin, kernel_finish,
  verify_chains, ledger_faults to opstac_app;
grant execute on function resolve_asset, count_usage, authenticate_key, authenticate_user, authenticate_job
  to opstac_tiler;
grant execute on function public_slot to opstac_stac;
