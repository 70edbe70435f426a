"""What a running service is, without HTTP and without torch: settings, database, queue, storage, jobs."""
