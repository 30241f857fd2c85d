"""Short messages by a gateway that can only be told to send."""
