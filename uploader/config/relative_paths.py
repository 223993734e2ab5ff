"""Read paths that are relative to the folder of the configuration file."""

import string
from pathlib import Path

from uploader.config.error_messages import UnfitValueError
from uploader.config.written_form import PATH, written_as

_PLACEHOLDERS = ("dir", "stem", "suffix")
_TEMPLATE = 'write for example "{dir}/{stem}.retry{suffix}"'


def resolved(value: object, folder: Path) -> Path:
    """Return *value*, a path that may be relative to *folder*, as an absolute path; else raise UnfitValueError."""
    if isinstance(value, Path):
        return folder / value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UnfitValueError("is not a path; write one that is absolute or starts at the folder of this file")
    if value.startswith("~"):
        raise UnfitValueError("starts with ~, which only a shell knows; write ${HOME} for it")
    return folder / value


@written_as(PATH)
def template(value: object) -> str:
    """Return *value* if it is a path with no placeholders but {dir}, {stem}, {suffix}; else raise UnfitValueError."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UnfitValueError(f"is not a path; {_TEMPLATE}")
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError:
        raise UnfitValueError(f"has a brace without its other one; {_TEMPLATE}") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in _PLACEHOLDERS or form or conversion):
            raise UnfitValueError(f"has a placeholder other than {{dir}}, {{stem}} and {{suffix}}; {_TEMPLATE}")
    return value
