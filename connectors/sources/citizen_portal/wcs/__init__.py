"""w.c.s. (Entr'ouvert), the portal's forms: what citizens filed, and where it stands."""
