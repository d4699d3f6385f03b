"""Meters and routes compiled to SQL, and the control tables that the dbt models join."""
