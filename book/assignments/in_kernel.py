"""What the grader brings into a student's kernel; it runs there, in a namespace of its own.

A check runs in `check`, which first puts back what the checks rest on, wherever the code before
has changed it, and last prints the mark, which stands in no cell. A kernel keeps no secret from the
code in it: who uses names by which one would look for the mark is reported (`look.suspicious`).
"""

import json
import sys
import warnings

RESET = {("builtins", "_"), ("builtins", "input")}  # the kernel's own doing, in each cell
WATCHED = ("builtins", "numpy", "torch", "attnlib.reference")


def start(shell, mark, setup):
    """Remember what the checks rest on, as it is before a student's code runs.

    Parameters
    ----------
    shell : InteractiveShell
        Of the kernel.
    mark : str
        Printed before what is said of a check.
    setup : list of str
        Names that the set-up cell defines.

    Returns
    -------
    remember, keep, check : callables
        For the guarded cells (`guards.with_guards`).
    """
    modules = {
        each: dict(vars(each))
        for name, each in list(sys.modules.items())
        if name in WATCHED or name.startswith("attnlib.checks")
    }
    codes = [
        (value, value.__code__)
        for module, names in modules.items()
        if module.__name__.startswith("attnlib")
        for value in names.values()
        if hasattr(value, "__code__")
    ]
    own: dict = {}  # what the set-up cell defines
    answered: dict = {}  # a student's functions, as they were checked
    drafts: dict = {}  # those that a later cell, before the check, defines again
    failed: set = set()
    out, err = sys.stdout, sys.stderr

    def guard(names):
        """Put back what the checks rest on, and say what that was."""
        changed = []
        for module, then in modules.items():
            ours, space = module.__name__.startswith("attnlib"), vars(module)
            for name in [n for n in space if ours and n not in then and not n.startswith("__")]:
                del space[name]
            for name, value in then.items():
                if space.get(name) is not value and (module.__name__, name) not in RESET:
                    space[name] = value
                    if callable(value) and not name.startswith("_"):
                        changed.append(f"{module.__name__}.{name}")
        for function, code in codes:
            if function.__code__ is not code:
                function.__code__ = code
                changed.append(function.__qualname__)
        changed += [name for name, value in own.items() if names.get(name) != value]
        names.update(own)
        shell.custom_exceptions = ()
        for name in ("showtraceback", "run_code", "showsyntaxerror"):
            shell.__dict__.pop(name, None)
        warnings.simplefilter("ignore")
        sys.stdout, sys.stderr = out, err
        return changed

    def remember(names):
        """Keep what the set-up cell has defined."""
        own.update({name: names[name] for name in setup if name in names})

    def keep(names, wanted):
        """Keep functions that a later cell defines again: one of the two must be right."""
        drafts.update({name: names[name] for name in wanted if name in names})

    def check(names, task, wanted, source, solutions):
        """Run a check.

        Earlier functions stand as they were checked, or, where they failed, as they should be: a
        mistake costs its points once. Whoever made up for it in the later function passes too.
        """
        changed = guard(names)
        code = compile(source, f"<check of {task}>", "exec")
        names.update(answered)
        mine = {name: names[name] for name in wanted if name in names}
        draft = {name: drafts[name] for name in wanted if name in drafts}
        answered.update(mine)
        broken = [each for each in solutions if each in failed]
        attempts = [(broken, mine), *([([], mine)] if broken else [])]
        attempts += [(broken, draft)] if draft else []
        failed.add(task)
        wrong: BaseException | None = None
        fixed: list[str] = []
        for fixed, version in attempts:
            names.update(answered)
            for each in fixed:
                exec(solutions[each], names)
            names.update(version)
            try:
                exec(code, names)
            except (Exception, SystemExit) as error:
                wrong = wrong or error
                continue
            answered.update(version)
            failed.discard(task)
            break
        during = guard(names)
        names.update(answered)
        if during:
            failed.add(task)
            wrong = RuntimeError(f"changes {', '.join(during)} while it is checked")
        fixed = fixed if task not in failed else broken
        said = {"passed": task not in failed, "fixed": fixed, "changed": [*changed, *during]}
        print(f"\n{mark} {json.dumps(said)}", flush=True)
        if wrong and task in failed:
            raise wrong from None

    return remember, keep, check
