"""Changes of the database schema, in order; run at start under a lock."""
