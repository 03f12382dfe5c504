"""A study file and its dotted overrides become `StudySettings`, or one `ConfigError` that lists every problem."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from detente.errors import ConfigError, DataError, did_you_mean
from detente.languages import find_language
from detente.settings.grid_checks import grid_problems
from detente.settings.paths import resolve
from detente.settings.presets import PRESETS
from detente.settings.run import MetaSettings, TreatmentName
from detente.settings.study import StudySettings
from detente.settings.task_checks import resolve_task, task_problems
from detente.settings.tasks import with_task_defaults
from detente.settings.text import LanguageSettings
from detente.settings.yaml_values import MOST_CHARACTERS, read_yaml

LABELLED = ("languages", "variants", "tasks", "data")
"""Groups whose next key is a label of the user's."""


def load_study(path: str | Path, overrides: Iterable[str] = ()) -> StudySettings:
    """The study in a YAML file, its relative paths taken from the file's folder.

    Args:
        overrides: dotted settings such as `training.steps=2000`; values are YAML.

    Raises:
        DataError: the file is missing or is not UTF-8.
        ConfigError: the YAML or any setting is wrong; every problem is listed.
    """
    path = Path(path)
    values = parse_yaml(read(path), str(path))
    return study_from_mapping(values, overrides, base=path.parent)


def study_from_mapping(
    values: Mapping[str, Any], overrides: Iterable[str] = (), *, base: Path | None = None
) -> StudySettings:
    """As `load_study`, from a mapping; `base` is the folder of relative paths."""
    given = merged = overlay(dict(values), nested(overrides))
    preset = merged.get("preset", "mini")
    if isinstance(preset, str) and preset in PRESETS:
        merged = overlay(PRESETS[preset], merged)
    study = validated(merged)
    problems = [
        *_language_problems(study),
        *grid_problems(study),
        *_variant_problems(study),
        *problems_of_tasks(study),
        *_repeated(study),
        *_budget_problems(study, merged),
        *_ignored(study, given),
    ]
    if problems:
        raise ConfigError(*problems)
    return resolve_paths(study, base or Path())


def validated(values: Mapping[str, Any]) -> StudySettings:
    """A study from what is written out, the defaults of each task added.

    Raises:
        ConfigError: a setting is wrong or unknown.
    """
    tasks = values.get("tasks")
    if isinstance(tasks, Mapping):
        values = {**values, "tasks": with_task_defaults(tasks, are_small=values.get("preset") != "paper")}
    try:
        return StudySettings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*explain(error)) from None


def problems_of_tasks(study: StudySettings) -> list[str]:
    """Sentences."""
    return [problem for name, task in study.tasks.items() for problem in task_problems(name, task, study.languages)]


def read(path: Path) -> str:
    """The text of a study file."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MOST_CHARACTERS + 1)
    except FileNotFoundError:
        raise DataError(f"there is no study file {path}. The examples folder has some to start from.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; give the study file in it, for example {path / 'study.yaml'}.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Settings by name."""
    try:
        values = read_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must hold settings as `name: value` lines, found {type(values).__name__}.")
    return values


def nested(overrides: Iterable[str]) -> dict[str, Any]:
    """Dotted settings as a tree."""
    tree: dict[str, Any] = {}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {override}: write it as name=value, for example training.steps=2000.")
        parts = name.strip().split(".")
        leaf: dict[str, Any] = {parts[-1]: _parse_value(override, value)}
        for part in reversed(parts[:-1]):
            leaf = {part: leaf}
        tree = overlay(tree, leaf)
    return tree


def _parse_value(override: str, value: str) -> Any:
    try:
        return read_yaml(value)
    except ValueError:
        raise ConfigError(f"--set {override}: the value is not valid YAML.") from None


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both trees; where they differ, what is above."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = overlay(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def explain(error: ValidationError) -> list[str]:
    """A sentence for each problem that pydantic found."""
    return [_problem(details["loc"], details["msg"], details["type"], details["input"]) for details in error.errors()]


def _problem(location: tuple[int | str, ...], message: str, kind: str, found: object) -> str:
    name = ".".join(str(part) for part in location) or "the study"
    if kind == "extra_forbidden":
        return f"`{name}` is not a setting.{_suggest_setting(location)}"
    if kind == "missing":
        return f"`{name}` is missing."
    if kind == "value_error":
        return f"`{name}`: {message.removeprefix('Value error, ')}."
    text = message[0].lower() + message[1:]
    shown = repr(found) if len(repr(found)) < 80 else type(found).__name__
    return f"`{name}`: {text.replace('input should', 'it should')}, found {shown}."


def _suggest_setting(location: tuple[int | str, ...]) -> str:
    """A setting of that name elsewhere, since people misplace them; else the nearest in the group, or of all."""
    *group, wrong = [str(part) for part in location]
    names = list(setting_names(StudySettings))
    siblings = [n for n in names if n.split(".")[:-1] == _with_label_wildcard(group)]
    near = difflib.get_close_matches(str(wrong), [n.split(".")[-1] for n in siblings], n=1)
    elsewhere = [n for n in names if n.split(".")[-1] == wrong]
    if elsewhere and f"{wrong}s" not in near:
        return f" Did you mean `{elsewhere[0]}`?"
    if near:
        return f" Did you mean `{'.'.join([*group, near[0]])}`?"
    return did_you_mean(".".join([*group, str(wrong)]), names)


def _with_label_wildcard(group: list[str]) -> list[str]:
    return ["LABEL" if before in LABELLED else name for before, name in zip(["", *group], group, strict=False)]


def setting_names(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """Dotted names of all settings; a label of the user's reads LABEL."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        nested = [m for m in (annotation, *get_args(annotation)) if isinstance(m, type) and issubclass(m, BaseModel)]
        yield prefix + name
        if nested:
            label = "LABEL." if name in LABELLED else ""
            yield from setting_names(nested[0], f"{prefix}{name}.{label}")


def _language_problems(study: StudySettings) -> Iterable[str]:
    for label, language in study.languages.items():
        if not label.replace("_", "").replace("-", "").isalnum() or not label.isascii():
            yield f"`languages.{label}`: a label has ASCII letters, digits, `-` and `_` only (it names folders)."
        if language.constructed is None and not (language.name and language.script):
            try:
                find_language(language.code or label)
            except ConfigError as error:
                yield f"`languages.{label}`: {error}"


def _variant_problems(study: StudySettings) -> Iterable[str]:
    """Of the study's systems: its treatments and its variants of them."""
    for name in study.variants:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name) or name in get_args(TreatmentName):
            yield f"`variants.{name}`: a variant has a name of its own, of ASCII letters, digits, `.`, `+` and `-` (it names folders)."
    for name, (treatment, variant_name) in study.systems.items():
        where = f"`variants.{name}`: " if variant_name else ""
        try:
            _, meta = study.system_settings(variant_name)
        except ValidationError as error:
            group = "adapter" if error.title == "AdapterSettings" else "meta"
            yield from (
                where + _problem((group, *details["loc"]), details["msg"], details["type"], details["input"])
                for details in error.errors()
            )
            continue
        if treatment == "meta-adapter":
            yield from (where + problem for problem in _meta_problems(study, meta))


def _meta_problems(study: StudySettings, meta: MetaSettings) -> Iterable[str]:
    included = [part.mixture for part in study.include if part.mixture is not None]
    sizes = [size for size in map(partial(_languages_in, study), [*study.mixtures, *included]) if size >= 2]
    wanted = meta.meta_languages
    if not sizes:
        yield (
            "`meta-adapter` needs a mixture of two languages or more, since phi learns what the others need: add one to "
            "`mixtures`, or leave the treatment out."
        )
    elif isinstance(wanted, int) and wanted > min(sizes):
        yield f"`meta.meta_languages` is {wanted}, but there is a mixture of {min(sizes)} languages: use `all`, or a smaller number."
    if meta.meta_split == "meta" and study.splits.meta == 0:
        yield (
            "`splits.meta` is 0, but the `meta-adapter` treatment needs held-out text: set it to 0.02, say, or "
            "`meta.meta_split: train`."
        )
    if meta.epsilon is not None and meta.second_order in ("exact", "none"):
        yield f"`meta.epsilon` has no effect with `meta.second_order: {meta.second_order}`: remove it."


def _languages_in(study: StudySettings, mixture: str | tuple[str, ...]) -> int:
    if isinstance(mixture, str):
        return {"mono": 1, "pairs": 2, "joint": len(study.languages)}.get(mixture, len(study.languages))
    return len(mixture)


def _budget_problems(study: StudySettings, given: Mapping[str, Any]) -> Iterable[str]:
    batches = given.get("batches") or {}
    if study.budget == "examples" and "temperature" in batches:
        yield (
            "`batches.temperature` has no effect with `budget: examples` (languages are drawn evenly, so that each sees as "
            "much as its mono run): remove it, or use `budget: steps`."
        )
    total = study.splits.meta + study.splits.validation + study.splits.test
    if total >= 0.9 and not math.isclose(total, 0.9):
        yield f"`splits`: meta, validation and test take {total:.2f} of the text; leave at least a tenth for training."


def _repeated(study: StudySettings) -> Iterable[str]:
    for name in ("treatments", "seeds"):
        if len(set(values := getattr(study, name))) < len(values):
            yield f"`{name}`: {list(values)} names one twice; each makes a run of its own."


def _ignored(study: StudySettings, given: Mapping[str, Any]) -> Iterable[str]:
    """Settings that would have no effect, as far as the user gave them."""
    if study.vocabulary.path is not None and "size" in given.get("vocabulary", {}):
        yield "`vocabulary.size` has no effect with `vocabulary.path`: a ready tokenizer has its own size. Remove one."
    if "warmup_steps" in given.get("training", {}) and study.training.warmup_steps >= study.training.steps:
        found = f"{study.training.warmup_steps} of {study.training.steps} steps"
        yield f"`training.warmup_steps`: the rate would never leave its warm-up, found {found}. Use a tenth, say."


def resolve_paths(study: StudySettings, base: Path) -> StudySettings:
    """With paths taken from `base`."""
    languages = {label: _resolve_language(language, base) for label, language in study.languages.items()}
    vocabulary = study.vocabulary
    if vocabulary.path is not None:
        vocabulary = vocabulary.model_copy(update={"path": resolve(vocabulary.path, base)})
    tasks = {name: resolve_task(task, base) for name, task in study.tasks.items()}
    return study.model_copy(update={"languages": languages, "vocabulary": vocabulary, "tasks": tasks})


def _resolve_language(language: LanguageSettings, base: Path) -> LanguageSettings:
    return language.model_copy(update={"paths": tuple(resolve(path, base) for path in language.paths)})
