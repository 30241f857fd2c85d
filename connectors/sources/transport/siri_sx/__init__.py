"""SIRI: situations and general messages, as XML or as SIRI Lite."""
