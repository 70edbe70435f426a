"""What tests share: the service, servers, a browser, small networks."""
