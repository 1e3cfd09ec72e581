"""Commands for operators: backup, restore, and rebuilding the ledger."""
