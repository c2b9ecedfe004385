"""What the notebook column and the serving column share: names, inputs, records, bodies, frames, keys."""
