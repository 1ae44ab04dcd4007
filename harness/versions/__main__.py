"""``check`` that versions were raised where code changed; ``lock`` what is now; ``golden`` computes sequences anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from splitbench.harness.errors import ConfigError
from splitbench.harness.versions import lock, sequences
from splitbench.harness.versions.lock import Change

USAGE = "usage: python -m splitbench.harness.versions check|lock|golden"


def complaints() -> list[str]:
    """What is wrong, a sentence each: code that changed under its version, and a lock file that is behind."""
    locked = lock.read_lock()
    changes = lock.changed_units(locked)
    sentences = [str(change) for change in changes if not change.raised]
    raised = [f"{change.unit.name} {change.unit.version}" for change in changes if change.raised]
    if raised:
        more = f" and {len(raised) - 5} more" if len(raised) > 5 else ""
        sentences.append(f"versions.lock does not hold {', '.join(raised[:5])}{more}; run `{lock.COMMAND}`")
    elif not sentences and locked != lock.current()[0]:
        sentences.append(f"versions.lock holds what is gone; run `{lock.COMMAND}`")
    return sentences


def refusals(changes: Sequence[Change], differing: dict[str, tuple[tuple[str, ...], str]]) -> list[str]:
    """Why nothing is locked: sequences that differ though no version of what they are a function of was raised.

    Args:
        changes: units that are not as they were locked.
        differing: sequences that are not those committed: what each is a function of, and how it differs.
    """
    raised = {change.unit.name for change in changes if change.raised}
    quiet = [change for change in changes if not change.raised]
    sentences = [str(change) for change in quiet if change.locked is not None and change.unit.version < change.locked]
    for name, (units, said) in sorted(differing.items()):
        if raised.isdisjoint(units):
            behind = [change.unit.name for change in quiet if change.unit.name in units]
            remedy = (
                f"raise the version of {' or '.join(behind)}"
                if behind
                else "none of the code whose version it names changed; if its material did (a test space, the settings "
                "of a study), run `python -m splitbench.harness.versions golden`"
            )
            sentences.append(f"golden sequence {name!r}: {said}; {remedy}")
    return sentences


def relock(anew: bool = False) -> list[str]:
    """Lock the versions and the code as they are, if the golden sequences allow it.

    Args:
        anew: accept all sequences as they are now; only where no code changed under its version, because they were
            made from other material (a test space, a study's settings).
    """
    from splitbench.harness.versions import golden  # torch

    changes = lock.changed_units(lock.read_lock())
    if anew and (quiet := [change for change in changes if not change.raised]):
        return [str(change) for change in quiet]
    now, committed = golden.compute(), sequences.read_sequences()
    differences = sequences.sequence_differences(committed, now)
    differing = {name: (now[name].units if name in now else (), said) for name, said in differences.items()}
    new = {name for name in differing if name not in committed}
    if not anew and (
        sentences := refusals(changes, {name: each for name, each in differing.items() if name not in new})
    ):
        return sentences
    if differences:  # the others stay as they are, lest many small differences add up
        kept = {
            name: new_sequence if name in differences else replace(new_sequence, parts=committed[name])
            for name, new_sequence in now.items()
        }
        sequences.write_sequences(kept)
    lock.LOCK.write_text(lock.current()[0].text(), "utf-8")
    print(
        f"locked {len(lock.read_lock().versions)} versions; {len(differences)} of {len(now)} golden sequences are new"
    )
    return []


def versions_main(words: Sequence[str]) -> int:
    """Run a verb; 0 if all is well, 1 if something is wrong, 2 for wrong usage."""
    verbs: dict[str, Callable[[], list[str]]] = {
        "check": complaints,
        "lock": relock,
        "golden": lambda: relock(anew=True),
    }
    if len(words) != 1 or words[0] not in verbs:
        print(USAGE, file=sys.stderr)
        return 2
    if not (lock.TOP / "pyproject.toml").is_file():
        print(ConfigError("versions.lock lies in a checkout of splitbench; run this there"), file=sys.stderr)
        return 2
    sentences = verbs[words[0]]()
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return int(bool(sentences))


if __name__ == "__main__":
    sys.exit(versions_main(sys.argv[1:]))
