"""The service without HTTP and without torch: settings, database, access, storage, queue, jobs, supervisor."""
