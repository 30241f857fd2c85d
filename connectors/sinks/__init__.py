"""What the hub writes to: `<product>/`, one folder per outside product."""
