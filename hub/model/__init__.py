"""The words of the hub as values: record, event, decision, connector, error.

Pure: nothing here waits, reads a clock or touches the outside.
"""
