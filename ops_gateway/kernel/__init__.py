"""What every operation passes: authenticate, scope, validate, idempotency, credits, execute, seal."""
