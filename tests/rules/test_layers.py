"""Who may know whom, and that nobody goes in circles."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("advisor", "rag", "finetune", "router")
ALLOWED = {"advisor": {"rag", "finetune", "router"}, "router": {"rag"}, "rag": set(), "finetune": {"rag"}}
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "langchain",
    "langchain_core",
    "chromadb",
    "sentence_transformers",
    "openai",
    "anthropic",
    "boto3",
    "botocore",
    "ray",
    "xllamacpp",
    "pyarrow",
    "openpyxl",
    "gepa",
    "datasets",
    "gguf",
    "accelerate",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "bpe_openai",
}


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(tree: ast.AST):
    """Every import that runs when the module is imported: (name of the module, names taken from it)."""
    stack = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.If):
            stack += node.orelse if "TYPE_CHECKING" in ast.unparse(node.test) else node.body + node.orelse
        elif isinstance(node, ast.Try):
            stack += node.body + node.orelse + node.finalbody + [s for h in node.handlers for s in h.body]


@pytest.mark.parametrize("package", PACKAGES)
def test_siblings_are_imported_only_in_the_allowed_direction(package):
    wrong = []
    for name, path in modules():
        if name.split(".")[0] != package:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            tops = {n.split(".")[0] for n in names} & set(PACKAGES) - {package}
            wrong += [f"{name} imports {top}" for top in tops - ALLOWED[package]]
    assert not wrong


def test_no_import_cycles():
    known = dict(modules())
    graph = {}
    for name, path in known.items():
        edges = set()
        for module, names in imported(ast.parse(path.read_text(encoding="utf-8"))):
            inner = {f"{module}.{n}" for n in names} & set(known)
            edges |= inner or ({module} & set(known))
        graph[name] = edges - {name}

    done, path_now, cycles = set(), [], []

    def visit(node):
        if node in path_now:
            cycles.append(path_now[path_now.index(node) :])
            return
        if node in done:
            return
        path_now.append(node)
        for following in sorted(graph[node]):
            visit(following)
        path_now.pop()
        done.add(node)

    for node in sorted(graph):
        visit(node)
    assert not cycles


def test_a_heavy_package_stays_in_its_own_file():
    """A file that imports one at its top is reached through a name table, so nobody may import that file at the top."""
    known, heavy, edges = dict(modules()), {}, {}
    for name, path in known.items():
        found = list(imported(ast.parse(path.read_text(encoding="utf-8"))))
        heavy[name] = {m.split(".")[0] for m, _ in found} & HEAVY
        edges[name] = {m for m, _ in found} | {f"{m}.{n}" for m, names in found for n in names}
    carriers = {name for name, packages in heavy.items() if packages}
    wrong = [f"{name} imports {c}" for name in known for c in edges[name] & carriers if name not in carriers]
    assert not wrong
    homes = {}
    for name in carriers:
        for package in heavy[name]:
            homes.setdefault((package, name.split(".")[0]), set()).add(name)
    # LangChain's core is two edges of the router: models come in by it, and the chatbot goes out by it.
    homes.pop(("langchain_core", "router"))
    assert {where: names for where, names in homes.items() if len(names) > 1} == {}


def test_no_catch_all_modules():
    forbidden = {"utils", "util", "common", "helpers", "helper", "misc", "core", "base", "manager", "handler"}
    assert [name for name, _ in modules() if name.split(".")[-1] in forbidden] == []


def test_no_two_test_files_share_a_name():
    """Pytest imports them by their bare names, and refuses to run at all where two are alike."""
    names = [p.name for p in (ROOT / "tests").rglob("*.py") if p.name not in ("conftest.py", "__init__.py")]
    assert sorted({n for n in names if names.count(n) > 1}) == []
