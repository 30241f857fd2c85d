"""What the hub reads: `<domain>/<product>/`."""
