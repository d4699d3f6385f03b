"""Dagster assets: shells of a few lines around the steps of `orchestration.pipeline`."""
