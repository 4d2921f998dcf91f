"""Turns a recipe (sources, words, libraries) into the stages that make one shared object of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tutor.core.exercise import Exercise
from tutor.core.protocol import Artifact
from tutor.toolchains.base import BuildPlan, BuildRequest, Command, Step, WarmTask
from tutor.toolchains.compilers import (
    HEADERS,
    PLAIN_ENV,
    SUFFIXES,
    Compiler,
    Language,
    base_flags,
    compiler,
    language_flags,
    shorten_paths,
)
from tutor.toolchains.native import NativeLibrary, native_libraries
from tutor.toolchains.packages import digest, python_include
from tutor.toolchains.pch import Header, Precompiled
from tutor.toolchains.sanitizers import BY_NAME, sanitizing

ArtifactKind = Literal["extension", "library", "torch", "python"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a toolchain adds to the common words. `sources` are names in the snapshot or absolute paths.

    defs: the linker refuses undefined symbols; False for extension modules, whose Python symbols come at load time.
    """

    output: str
    sources: tuple[str, ...]
    includes: tuple[Path, ...] = ()
    flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    header: Header | None = None
    defs: bool = True
    before: tuple[tuple[Step, ...], ...] = ()
    objects: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def compiled_sources(exercise: Exercise, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The C and C++ files among an exercise's files, learner's first."""
    return tuple(name for name in (*exercise.files, *exercise.given) if Path(name).suffix in (*SUFFIXES, *extra))


def snapshot_sources(request: BuildRequest) -> dict[str, str]:
    """Where the copied files lie, for findings and for checks that read them."""
    return {name: str(request.source / name) for name in request.exercise.files}


def extras(libraries: tuple[NativeLibrary, ...]) -> dict[str, str]:
    """`artifact.extra` for native libraries."""
    return {library.name: str(library.path) for library in libraries}


def precompiled(chosen: Compiler, recipe: Recipe, language: Language, std: str, optimise: bool) -> Precompiled | None:
    """The precompiled header for exactly these words, ready or not."""
    if recipe.header is None or recipe.header.language != language:
        return None
    return Precompiled(recipe.header, chosen, _language_words(chosen, recipe, language, std, optimise))


def _language_words(chosen: Compiler, recipe: Recipe, language: Language, std: str, optimise: bool) -> tuple[str, ...]:
    common = base_flags(optimise)
    system = tuple(word for folder in recipe.includes for word in ("-isystem", str(folder)))
    own = tuple(flag for flag in recipe.flags if flag not in common)
    return (*common, *language_flags(chosen, language, std), *system, *own)


def build_plan(request: BuildRequest, recipe: Recipe, kind: ArtifactKind, sys_path: tuple[str, ...] = ()) -> BuildPlan:
    """The whole plan: native libraries beside or before, one command for one source, else objects and a link."""
    options = request.exercise.build
    libraries = native_libraries(options.native)
    full = _completed(recipe, request, libraries)
    chosen = sanitizing(full.flags, request.sanitizer)
    own = (*full.before, *_compile_stages(request, full, chosen))
    natives = tuple(step for library in libraries for step in library.steps)
    stages = ((natives,) if natives else ()) + own
    artifact = Artifact(
        kind=kind,
        module=request.exercise.module,
        path=str(request.out / recipe.output),
        sys_path=(*sys_path, str(request.source)),
        sources=snapshot_sources(request),
        extra=extras(libraries),
    )
    # Compilers read no Python; what comes before them may be a learner's script.
    unread = () if full.before else (".py",)
    return BuildPlan(stages, artifact, _key(request, full, chosen, libraries, own), (recipe.output,), unread)


def _completed(recipe: Recipe, request: BuildRequest, libraries: tuple[NativeLibrary, ...]) -> Recipe:
    options = request.exercise.build
    link = (*recipe.link, *(w for lib in libraries for w in lib.link_words), *(f"-l{n}" for n in options.libraries))
    includes = (*recipe.includes, *(lib.include for lib in libraries))
    completed = replace(recipe, includes=includes, flags=(*recipe.flags, *options.flags), link=link)
    if not request.sanitizer:
        return completed
    words = BY_NAME[request.sanitizer].flags
    return replace(completed, header=None, flags=(*completed.flags, *words), link=(*link, *words))


def _compile_stages(request: BuildRequest, recipe: Recipe, chosen: Compiler) -> tuple[tuple[Step, ...], ...]:
    languages = {SUFFIXES[Path(s).suffix] for s in recipe.sources}
    main: Language = "c++" if "c++" in languages or recipe.objects else "c"
    if len(recipe.sources) == 1 and not recipe.objects:
        words, link = _source_words(request, recipe, chosen, main)
        argv = (chosen.driver(main), *words, *recipe.sources, *link, *_link_words(request, recipe, chosen))
        return ((_command(argv, request, f"{_driver_name(chosen, main)} {Path(recipe.sources[0]).name}"),),)
    compiles: list[Command] = []
    linked: list[str] = []
    for source in recipe.sources:
        language = SUFFIXES[Path(source).suffix]
        words, link = _source_words(request, recipe, chosen, language)
        target = str(request.out / (Path(source).name + ".o"))
        argv = (chosen.driver(language), *words, "-c", source, "-o", target)
        compiles.append(_command(argv, request, f"{_driver_name(chosen, language)} {Path(source).name}"))
        linked += [target, *(w for w in link if w not in linked)]
    argv = (chosen.driver(main), *linked, *recipe.objects, *_link_words(request, recipe, chosen))
    return tuple(s for s in (tuple(compiles), (_command(argv, request, f"link {recipe.output}"),)) if s)


def _source_words(
    request: BuildRequest, recipe: Recipe, chosen: Compiler, language: Language
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    std = request.exercise.build.std
    words = _language_words(chosen, recipe, language, std, request.optimise)
    header = precompiled(chosen, recipe, language, std, request.optimise)
    used: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    if header is not None:
        used = header.words()
        header.want()
    return (*words, *used[0], "-I.", *shorten_paths(request.source, request.out)), used[1]


def _link_words(request: BuildRequest, recipe: Recipe, chosen: Compiler) -> tuple[str, ...]:
    defs = ("-Wl,-z,defs",) if recipe.defs else ()
    return ("-shared", *chosen.linker_flags, *defs, "-o", str(request.out / recipe.output), *recipe.link)


def _command(argv: tuple[str, ...], request: BuildRequest, label: str) -> Command:
    return Command(argv, request.source, label, PLAIN_ENV)


def _driver_name(chosen: Compiler, language: Language) -> str:
    program = chosen.c if language == "c" else chosen.cxx
    return Path(program.path or program.name).name


def _key(
    request: BuildRequest, recipe: Recipe, chosen: Compiler, libraries: tuple[NativeLibrary, ...], stages: object
) -> str:
    # The words name the folders of this one run; without them the same sources always give the same key.
    words = str(stages).replace(str(request.out), "OUT").replace(str(request.source), "SRC")
    headers = [h for h in (*request.exercise.files, *request.exercise.given) if Path(h).suffix in HEADERS]
    natives = [library.key for library in libraries]
    return digest(chosen.identity, words, recipe.versions, natives, headers, python_include())


def header_task(recipe: Recipe, std: str = "") -> tuple[WarmTask, ...]:
    """The task that makes the recipe's precompiled header for the usual words; nothing where it is ready."""
    chosen = compiler()
    if recipe.header is None:
        return ()
    header = precompiled(chosen, recipe, recipe.header.language, std, True)
    return () if header is None or header.ready else (header.task(),)


def source_text(request: BuildRequest) -> str:
    """All compiled sources and headers of an exercise in one string, to see what they include."""
    names = [n for n in (*request.exercise.files, *request.exercise.given) if Path(n).suffix in (*SUFFIXES, *HEADERS)]
    texts = []
    for name in names:
        try:
            texts.append((request.source / name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return "\n".join(texts)
