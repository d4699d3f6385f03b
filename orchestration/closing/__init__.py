"""Closing a period: due lines become numbered documents in one transaction of the ledger."""
