"""The embedded cluster: processes of this machine."""
