"""The query frontend's end of the wire to model containers."""
