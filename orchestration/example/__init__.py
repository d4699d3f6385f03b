"""The example instance: a month of made-up traffic, the same bytes each time, with the numbers that must come out."""

from orchestration.example.generate import generate
from orchestration.example.late import generate_late
from orchestration.example.summary import Expected, GeneratedSummary, Written

__all__ = ["Expected", "GeneratedSummary", "Written", "generate", "generate_late"]
