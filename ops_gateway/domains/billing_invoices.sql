-- name: invoices
select id, number, kind, status, to_char(month, 'YYYY-MM') as month, currency, credits, subtotal_cents,
       tax_basis_points, tax_cents, total_cents, reference, note, issued_at
from invoice
where organization_id = :org
order by issued_at desc, number desc
limit :limit;

-- name: invoice
select id, number, kind, status, to_char(month, 'YYYY-MM') as month, currency, credits, subtotal_cents,
       tax_basis_points, tax_cents, total_cents, reference, note, issued_at
from invoice where organization_id = :org and id = :id;

-- name: lines
select position, description, quantity, credits, amount_cents from invoice_line
where organization_id = :org and invoice_id = :id
order by position;

-- name: payer
select name, details from organization where organization_id = :org;

-- name: count
select count(*) as total from invoice where organization_id = :org;
