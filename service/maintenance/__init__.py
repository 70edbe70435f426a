"""Backup, garbage collection, health checks."""
