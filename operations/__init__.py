"""Commands for those who run Vitrine: backup, restore, and rebuilding the ledger."""
