"""HubEE, told what the town hall decided about a request."""
