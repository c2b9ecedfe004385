"""The serving processes: both frontends and the model container. Asynchronous; never imports the notebook column."""
