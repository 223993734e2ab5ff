"""Be one part of the settings: frozen, and closed to keys that do not exist."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One part of the settings; its defaults are the contract's, and no error of it quotes a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
