"""Generated models of the canonical records; `hub schemas generate` writes them."""
