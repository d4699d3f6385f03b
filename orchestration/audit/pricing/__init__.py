"""The second pricer: what documents must say, worked out by other means than those that issue them.

Written from the rules, not from `orchestration.billing`, which nothing below `orchestration.audit` imports, directly or
through others. Where billing goes through days and keeps runs of units, this integrates over positions; where it adds
up decimals, this has fractions and whole minor units; periods, roundings and splits are made here again. Shared are
the models of the catalog with what they say of themselves (structure of a version, history of a customer), the table
of currencies and the text of a number (`orchestration.money`), and local time (`orchestration.zones`).
"""
