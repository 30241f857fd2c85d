"""A notification service with the interface of GOV.UK Notify."""
