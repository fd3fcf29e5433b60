-- name: no_longer_than
select set_config('statement_timeout', :milliseconds, true)
