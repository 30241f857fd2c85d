"""GTFS: two publications of a timetable, compared."""
