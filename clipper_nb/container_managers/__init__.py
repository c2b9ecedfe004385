"""What starts and stops the containers of a cluster: local processes here, Docker elsewhere."""
