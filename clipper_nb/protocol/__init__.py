"""What the notebook's column and the serving column agree on: names, inputs, records, bodies, frames, keys."""
