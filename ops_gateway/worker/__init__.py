"""The runtime that carries jobs out: claim fairly, compute in a bounded child, register, recover.

The platform's `job` table is the truth. The queue's rows only wake somebody up: losing one costs
seconds, an extra one costs a look. Everything that touches the platform (tokens, sources, outputs,
registration, failure) is handed in as `services.WorkerServices`; this package imports no domain.
"""
