"""Watching usage: baselines, charts and detectors over series, alarms, incidents. Figures here are billed nowhere."""
