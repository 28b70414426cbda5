"""The OpenFeature provider: definitions in flagd's JSON, evaluated in this process.

It never changes: other definitions are another provider. `FlagValues` asks it directly, because
OpenFeature's client answers an error with the caller's default value, and an unknown flag must not
have one; it also finds its provider in a registry that is global to the process.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from sorafeed_assets.domain.flags.definition import KEEP, Definition

KEPT: Final = "KEPT"
"""The reason of a value that a display keeps although the share has shrunk."""


class FlagsProvider(AbstractProvider):
    """Values of flags by definitions and kept assignments; the targeting key is a display's code.

    Args:
        definitions: flag → its definition; a flag without one is not found.
        kept: (flag, display) → the value that the display keeps, where the definition keeps any.

    Raises:
        openfeature.exception.ParseError: a definition is not in flagd's JSON.
    """

    def __init__(
        self, definitions: Mapping[str, Definition], kept: Mapping[tuple[str, str], str]
    ) -> None:
        super().__init__()
        self._core = FlagdCore()
        self._kept = kept
        # As text, because the evaluator changes what it is given.
        self._core.set_flags(json.dumps({"flags": definitions}))

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata("sorafeed")

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """The value of a flag for a display.

        Raises:
            openfeature.exception.FlagNotFoundError: no definition is stored.
            openfeature.exception.OpenFeatureError: the definition cannot be evaluated.
        """
        details = self._core.resolve_string_value(flag_key, default_value, evaluation_context)
        display = evaluation_context.targeting_key if evaluation_context else None
        if display is not None and details.flag_metadata.get(KEEP) is True:
            kept = self._kept.get((flag_key, display))
            if kept is not None:
                return FlagResolutionDetails(
                    kept, reason=KEPT, variant=kept, flag_metadata=details.flag_metadata
                )
        return details

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001  # OpenFeature's interface
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """As the evaluator: a flag of this system is a text, so its type differs."""
        return self._core.resolve_boolean_value(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """As the evaluator: a flag of this system is a text, so its type differs."""
        return self._core.resolve_integer_value(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """As the evaluator: a flag of this system is a text, so its type differs."""
        return self._core.resolve_float_value(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """As the evaluator: a flag of this system is a text, so its type differs."""
        return self._core.resolve_object_value(flag_key, default_value, evaluation_context)
