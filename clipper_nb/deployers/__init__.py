"""Deployers: functions that turn something in a notebook into a deployed model."""
