"""The record: which files were taken, what was closed, every issued document, the journal."""
