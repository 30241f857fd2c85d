"""Horanet SmartTransac: who was there, accounts and bills, over SOAP."""
