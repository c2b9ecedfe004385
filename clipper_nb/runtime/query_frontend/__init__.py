"""The query frontend: answers predict requests within the SLO."""
