"""What was run: ledger, leases, artifacts, and the rows that reports are made of."""
