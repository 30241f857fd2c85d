"""What the public may know: datasets, what is counted for them, and the gate before they are published.

A dataset is one folder, `streams/open_data/datasets/<name>/`:

    dataset.toml   the manifest: what it is, what is selected, where each column comes from
    schema.json    its Table Schema; a national one is kept as it was published
"""
