"""NCIP 2: loans between libraries, as the messages that began and ended them."""
