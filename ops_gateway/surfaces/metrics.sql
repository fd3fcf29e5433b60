-- name: ledger_faults
-- How often each law of the ledger is broken, over all organizations.
select invariant, faults from ledger_faults();
