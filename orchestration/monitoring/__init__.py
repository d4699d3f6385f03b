"""Watching usage: series and detectors, limits and how clients take them. What is said here bills nothing."""
