"""What tests share: servers, browsers, small networks."""
