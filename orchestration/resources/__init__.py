"""Connections of the engines that assets and dbt use."""
