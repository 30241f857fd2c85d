"""The citizen portal: accounts, links and preferences."""
