"""The smallest command line or sequence of steps that still differs: parts are left out as long as it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

__all__ = ["minimise", "minimise_steps", "options_of", "smaller"]

Option = tuple[str, ...]


def options_of(argv: Sequence[str]) -> list[Option]:
    """The words of *argv* as options with their values: a word without a dash belongs to the one before.

    >>> options_of(["-M", "pc", "-S", "-m", "1G"])
    [('-M', 'pc'), ('-S',), ('-m', '1G')]
    """
    options: list[list[str]] = []
    for word in argv:
        if options and not word.startswith("-"):
            options[-1].append(word)
        else:
            options.append([word])
    return [tuple(option) for option in options]


def smaller(options: Sequence[Option]) -> Iterator[list[Option]]:
    """Command lines that are one step smaller: an option less, or one `,name=value` less in one of them."""
    for at in reversed(range(len(options))):
        yield [*options[:at], *options[at + 1 :]]
    for at, option in enumerate(options):
        if len(option) != 2 or "," not in option[1]:
            continue
        parts = option[1].split(",")
        for gone in reversed(range(1, len(parts))):
            shorter = ",".join(parts[:gone] + parts[gone + 1 :])
            yield [*options[:at], (option[0], shorter), *options[at + 1 :]]


async def minimise(argv: Sequence[str], differs: Callable[[Sequence[str]], Awaitable[bool]]) -> tuple[str, ...]:
    """The smallest command line for which *differs* still holds, by one step after the other.

    *argv* itself is taken to differ. A step after which QEMU refuses, or both agree, is not taken.
    """
    options = options_of(argv)
    while True:
        for fewer in smaller(options):
            if await differs([word for option in fewer for word in option]):
                options = fewer
                break
        else:
            return tuple(word for option in options for word in option)


async def minimise_steps(steps: Sequence[str], differs: Callable[[Sequence[str]], Awaitable[bool]]) -> tuple[str, ...]:
    """The smallest part of *steps*, in their order, for which *differs* still holds: halves are left out, then less.

    *steps* themselves are taken to differ.
    """
    left = list(steps)
    size = len(left) // 2
    while size:
        at, shorter = 0, False
        while at < len(left):
            fewer = left[:at] + left[at + size :]
            if fewer and await differs(fewer):
                left, shorter = fewer, True
            else:
                at += size
        # after the last single step went, earlier ones may have become superfluous
        size = size if shorter and size == 1 else size // 2
    return tuple(left)
