"""GTFS-Realtime: alerts and trip updates of any network that publishes them."""
