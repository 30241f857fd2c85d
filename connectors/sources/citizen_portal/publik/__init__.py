"""Publik (Entr'ouvert), the portal on which citizens have their accounts: links and preferences."""
