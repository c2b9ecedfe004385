"""The errors of a frontend that does not answer, the same for every client of ours. (pure)"""

from __future__ import annotations

from dataclasses import dataclass

from clipper_nb.errors import ClusterUnreachableError


@dataclass(frozen=True)
class Unreachable:
    """Makes the errors of one server.

    Attributes
    ----------
    what : str
        Name of the server.
    base_url : str
        Its address.
    """

    what: str
    base_url: str

    def too_late(self, method: str, path: str, timeout_s: float) -> ClusterUnreachableError:
        """Return the error for no complete reply in time."""
        return self._error(f"has not answered {method} {path} within {round(timeout_s, 3):g} s")

    def broken(self, method: str, path: str) -> ClusterUnreachableError:
        """Return the error for a connection that ended before the reply."""
        return self._error(f"broke the connection during {method} {path}", is_passing=True)

    def no_proof(self, refusal: object) -> ClusterUnreachableError:
        """Return the error for a certificate that is not trusted."""
        hint = "if it was started anew, connect() again, or pass its authority of now as ca"
        return self._error(f"does not prove itself over TLS ({refusal}); {hint}")

    def no_connection(self, exc: Exception) -> ClusterUnreachableError:
        """Return the error for no connection."""
        return self._error(f"cannot be reached ({type(exc).__name__})", is_passing=True)

    def _error(self, what_happened: str, *, is_passing: bool = False) -> ClusterUnreachableError:
        return ClusterUnreachableError(
            f"The {self.what} at {self.base_url} {what_happened}. Is the cluster still running?", is_passing=is_passing
        )
