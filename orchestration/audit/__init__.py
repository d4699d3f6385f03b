"""Checking the record: what was issued must follow, byte for byte, from raw files and the archived catalog."""
