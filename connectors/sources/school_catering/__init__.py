"""School catering and after-school care: bookings and presence."""
