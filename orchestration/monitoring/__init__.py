"""Watching usage: limits and how clients take them, replayed from the log. Nothing here prices or changes a bill."""
