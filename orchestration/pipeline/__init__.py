"""The steps of a run, as plain functions. Assets and the command call the same ones."""
