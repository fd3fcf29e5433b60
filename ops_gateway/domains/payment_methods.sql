-- name: customer
select provider_id from payment_customer where organization_id = :org and env = :env;

-- name: keep_customer
insert into payment_customer (organization_id, env, provider_id) values (:org, :env, :provider_id)
on conflict (organization_id, env) do nothing;

-- name: lock_customer
select provider_id from payment_customer where organization_id = :org and env = :env for update;

-- name: insert_card
insert into payment_method (id, organization_id, env, provider_id, brand, last4, exp_month, exp_year, is_default,
                            created_by)
select :id, :org, :env, :provider_id, :brand, :last4, :exp_month, :exp_year,
       not exists (select from payment_method where organization_id = :org and env = :env and is_default
                   and detached_at is null),
       :by
on conflict do nothing;

-- name: card_by_provider
select * from payment_method
where organization_id = :org and env = :env and provider_id = :provider_id and detached_at is null;

-- name: card
select * from payment_method where organization_id = :org and id = :id and (:env::text is null or env = :env) and detached_at is null;

-- name: cards
select * from payment_method
where organization_id = :org and detached_at is null and (:env::text is null or env = :env)
order by is_default desc, created_at desc, id;

-- name: unset_default
update payment_method set is_default = false
where organization_id = :org and env = :env and is_default and detached_at is null and id <> :id;

-- name: set_default
update payment_method set is_default = true
where organization_id = :org and id = :id and detached_at is null
returning *;

-- name: detach
update payment_method set detached_at = now(), is_default = false
where organization_id = :org and id = :id and detached_at is null;
