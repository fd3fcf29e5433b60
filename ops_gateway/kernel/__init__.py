"""What every operation passes: caller, scope, validation, key, credits, execution, records."""
