-- name: closed
select month from monthly_run where organization_id = :org and month = :month;

-- name: first_open
-- The month after the last that is closed; the organization's first where none is.
select coalesce((select (max(r.month) + interval '1 month')::date from monthly_run r where r.organization_id = :org),
                date_trunc('month', o.created_at at time zone 'UTC')::date) as month
from organization o where o.organization_id = :org and o.deleted_at is null;

-- name: bill_charges
insert into billed_charge (journal_id, organization_id, invoice_id, credits)
select j.id, j.organization_id, :invoice, j.charged
from journal j
where j.organization_id = :org and j.kind = 'settle' and j.charged > 0
  and (:since::timestamptz is null or j.created_at >= :since) and j.created_at < :until
  and (:jobs::text[] is null or j.reference_id = any (:jobs))
  and (select on_credit(h.created_at) from hold h where h.id = j.hold_id) = :accrued
  and not exists (select from billed_charge b where b.journal_id = j.id);

-- name: billed
select coalesce(b.job_type_id, 'other') as subject, count(*) as runs, sum(c.credits)::bigint as credits
from billed_charge c
join journal j on j.id = c.journal_id and j.organization_id = :org
left join job b on b.organization_id = :org and b.id = j.reference_id
where c.organization_id = :org and c.invoice_id = :invoice
group by 1 order by 1;

-- name: unbilled
-- What was charged to be paid afterwards.
select j.id, j.charged as credits, j.created_at, j.reference_id as job_id, coalesce(b.job_type_id, 'other') as subject
from journal j left join job b on b.organization_id = :org and b.id = j.reference_id
where j.organization_id = :org and j.kind = 'settle' and j.charged > 0
  and (:since::timestamptz is null or j.created_at >= :since) and j.created_at < :until
  and (select on_credit(h.created_at) from hold h where h.id = j.hold_id)
  and not exists (select from billed_charge c where c.journal_id = j.id)
order by j.created_at, j.id;

-- name: charged
select coalesce(sum(j.charged), 0)::bigint as credits from journal j
where j.organization_id = :org and j.kind = 'settle' and j.created_at >= :since and j.created_at < :until;

-- name: insert_invoice
insert into invoice (id, organization_id, number, kind, status, month, currency, credits, subtotal_cents,
                     tax_basis_points, tax_cents, total_cents, reference, note, issued_at)
values (:id, :org, :number, :kind, :status, :month, :currency, :credits, :subtotal, :tax_basis_points, :tax, :total,
        :reference, :note, :at);

-- name: insert_line
insert into invoice_line (organization_id, invoice_id, position, description, quantity, credits, amount_cents)
values (:org, :invoice, :position, :description, :quantity, :credits, :cents);

-- name: count_invoices
select count(*) as count from invoice where organization_id = :org;

-- name: insert_run
insert into monthly_run (organization_id, month, plan_id, invoice_id, charged_credits, accrued_credits,
                         expired_credits, granted_credits, closed_at)
values (:org, :month, :plan, :invoice, :charged, :accrued, :expired, :granted, :at);

-- name: given_by
-- The plan whose credits of a month were given, as it was then.
select p.id, p.name, p.currency, p.monthly_fee_cents
from credit_lot l join plan p on p.id = l.plan_id and p.valid_from <= l.granted_at
where l.organization_id = :org and l.source = 'monthly' and l.period = :month
order by p.valid_from desc limit 1;

-- name: due
select organization_id from organizations_due(:month);
