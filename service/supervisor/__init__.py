"""Runs a service on one machine: child processes and the private broker."""
