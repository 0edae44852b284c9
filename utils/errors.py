"""The base of the errors that the user can mend. Each message is one sentence that says how."""


class UserError(Exception):
    """An error whose message is one sentence for the user."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that Jupyter shows: the sentence alone, without a traceback."""
        return [str(self)]
