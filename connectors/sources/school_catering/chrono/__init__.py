"""Chrono (Publik, Entr'ouvert), the agendas on which canteen meals and care are booked."""
