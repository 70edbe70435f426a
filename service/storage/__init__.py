"""Content-addressed storage in a folder, in a bucket, or behind the API of another host."""
