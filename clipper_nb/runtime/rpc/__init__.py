"""The query frontend's side of the connections to model containers."""
