"""The certificate: the whole hub under load and under attack, judged by an oracle of its own."""
