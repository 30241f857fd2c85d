"""HubEE, the State's exchange hub: what it queues for a commune."""
