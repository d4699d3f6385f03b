"""Tallystick: from gateway logs to invoices that anyone can re-perform."""

__version__ = "0.1.0"
