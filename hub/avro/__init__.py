"""Avro schemas as values: parse, check, generate, encode.  Text in, text out: the shell reads files."""
