"""Civil Net Enfance (Ciril): bookings of meals and care, over SOAP."""
