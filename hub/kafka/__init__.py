"""Everything that knows Kafka: the batch worker (the one Faust file), topics, leases, folds."""
