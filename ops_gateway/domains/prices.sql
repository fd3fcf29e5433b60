-- name: overrides
-- The operator's prices in force, of one subject or of all.
select distinct on (subject) subject, unit, credits_per_unit, minimum_credits from price
where valid_from <= now() and (valid_until is null or valid_until > now())
  and (:subject::text is null or subject = :subject)
order by subject, valid_from desc;
