"""What the query frontend counts, and how it is written for Prometheus."""
