"""Shared by tests: the service, servers, a browser, small networks."""
