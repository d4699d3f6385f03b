"""Files for people and other systems: a pure function of the ledger."""
