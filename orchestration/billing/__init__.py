"""Billing: from measured quantities and the catalog to lines and documents. Pure: no I/O, no clock, no SQL."""
