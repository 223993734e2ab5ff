"""Define a section of the settings: frozen, without unknown keys."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the settings; no error of it quotes a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
