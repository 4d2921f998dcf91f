"""What rustc's borrow checker means, told with the lines it names: who borrowed, who else wants it, until when."""

from __future__ import annotations

import re
from collections.abc import Callable

from tutor.toolchains.rustc_message import Label, Message


def explain_rust(code: str, message: Message) -> str:
    """Sentence and fix for an error code (or, without one, for its text); nothing when rustc says it well itself."""
    told = _CODES.get(code)
    if told is not None:
        return told(message)
    return next((words for pattern, words in _TEXTS if re.search(pattern, message.text)), "")


def origin(code: str, message: Message) -> tuple[str, int] | None:
    """What messages share when one borrow is the cause of them: who is borrowed, and on which line."""
    if code not in {"E0499", "E0502", "E0505", "E0506"}:
        return None
    first = _first_borrow(message)
    return (message.name.strip("`").split(".")[0], first.line) if first and first.line != message.here else None


def _first_borrow(message: Message) -> Label | None:
    wanted = re.search(r"because it is (?:also|already) borrowed as (\w+)", message.text)
    if wanted:
        return message.find(rf"^{wanted[1]} borrow occurs|^{wanted[1]}ly borrowed|borrowed here in the previous")
    return message.find(
        r"^first (?:mutable )?borrow occurs|borrow(?:ed)? here in the previous|"
        r"is borrowed here$|^borrow of .* occurs here|starts here in previous iteration"
    )


def _until(message: Message) -> str:
    """How long the first borrow lasts."""
    used = message.find(r"later (?:used|captured|stored)")
    if used is not None:
        if used.line < message.here:
            return f", and the next turn of the loop still uses that borrow {message.place(used)}"
        return f", and that borrow is still used {message.place(used)}"
    asked = message.find(r"requires that")
    return f", and that borrow has to last until the caller is done ({message.place(asked)})" if asked else ""


def _returned(message: Message) -> str:
    """The borrow that is returned in one branch, and therefore lasts in the other."""
    first, back = _first_borrow(message), message.find(r"^returning this value requires")
    if first is None or back is None or back.line >= message.here:
        return ""
    return (
        f"The reference that is made {message.place(first, True)} is returned {message.place(back)}; for the compiler "
        f"that borrow then lasts to the end of the function, in the branch that doesn't return too, and {message.name} "
        "can't be borrowed again here. Look up an index (or a bool) instead of a reference, and make the reference "
        "from it once, at the end."
    )


def _over(first: Label | None) -> bool:
    return first is not None and bool(re.match(r"(?:'\w+: )?for\b", first.source))


def _twice(message: Message) -> str:
    if told := _returned(message):
        return told
    first = _first_borrow(message)
    if first and "previous iteration" in first.says:
        return (
            f"{message.name} is borrowed as `&mut` here in every turn of the loop, and the borrow of the turn "
            "before is still kept: there may be one `&mut` at a time. Use it up within the turn, or collect indices."
        )
    fix = "End the first borrow before the second begins: use it up, or copy the number you need out of it."
    if first and "[" in first.source:
        fix += " Two elements of one slice at once: `split_at_mut`, or indices."
    return (
        f"{message.name} is borrowed as `&mut` {message.place(first, True)} and again here{_until(message)}: "
        f"there may be one `&mut` at a time. {fix}"
    )


def _read_and_changed(message: Message) -> str:
    if told := _returned(message):
        return told
    first = _first_borrow(message)
    if _over(first) and first is not None and first.line < message.here and "as mutable because" in message.text:
        return (
            f"The loop {message.place(first, True)} borrows {message.name} for as long as it runs, and its body "
            "changes it here. Let the collection do both (`retain`, `iter_mut`), or finish reading first: collect "
            "indices or other small copies, then change."
        )
    other = "changed" if "as mutable because" in message.text else "read"
    held = "read" if other == "changed" else "borrowed as `&mut`"
    if first is not None and first.line > message.here:
        return (
            f"{message.name} is {held} {message.place(first, True)}, and that borrow is kept when the loop comes round "
            f"and {message.name} is {other} here. Do it in two loops, one after the other, or keep an index or an "
            "owned value in place of the reference."
        )
    return (
        f"{message.name} is {held} {message.place(first, True)} and {other} here{_until(message)}: a `&mut` "
        "tolerates no other reference. Put the last use of the first borrow before the second, copy the number you "
        "need out, or keep an index in place of the reference."
    )


def _moved(message: Message) -> str:
    moved = message.find(r"moved (?:here|due to|into)|moved here, in previous")
    kind = message.find(r"has type `")
    typed = re.search(r"has type `([^`]+)`", kind.says) if kind else None
    what = f"{message.name} (`{typed[1]}`)" if typed else message.name
    if "partially moved" in message.text:
        what = f"a part of {message.name}"
    if moved is None:
        return f"{what} was moved away before this line. Lend it (`&`) where it was given away."
    if "previous iteration" in moved.says:
        start = f"{what} is moved away here in the first turn of the loop, and is gone in the second."
    else:
        start = f"{what} was moved away {message.place(moved, True)} and is used here: a value has one owner."
    return f"{start} {_way_to_lend(message.name, moved.says)}"


def _way_to_lend(name: str, says: str) -> str:
    bare = name.strip("`")
    if "into_iter" in says:
        return f"`for ... in {bare}` takes the collection; `for ... in &{bare}` only looks at it."
    if "method call" in says:
        return "That method takes `self`. Call one that borrows (`iter()`, `as_ref()`), or call it last."
    if "closure" in says:
        return "The closure took it. Let the closure borrow, or hand it a reference made before."
    return f"Lend it there (`&{bare}`, and a parameter `&[T]`, `&str` or `&T`), or use it before you give it away."


def _too_short(message: Message) -> str:
    dropped, used = message.find(r"dropped here while still borrowed"), message.find(r"later (?:used|captured|stored)")
    asked = message.find(r"requires that")
    still = next((label for label in (used, asked) if label and label.line != message.here), None)
    end = f"{message.name} is freed {message.place(dropped)}, where its scope ends" if dropped else message.name
    if still is None:
        start = f"{end}, and what was borrowed from it here is kept for longer."
    else:
        start = f"{end}, and what was borrowed from it here is still used {message.place(still)}."
    return (
        f"{start} Make {message.name} before, and outside the scope of, whatever keeps references to it; or keep "
        "an owned value (`String`, `Vec`) in place of the reference."
    )


def _temporary(message: Message) -> str:
    used = message.find(r"later (?:used|captured|stored)|requires that")
    until = f", and the reference is used {message.place(used)}" if used and used.line != message.here else ""
    return (
        f"The value made here has no name and is freed at the end of the statement{until}. Name it with `let` first, "
        "and borrow from the name in the next statement."
    )


def _moved_while_borrowed(message: Message) -> str:
    first = _first_borrow(message)
    return (
        f"{message.name} is given away here, but it was borrowed {message.place(first, True)}"
        f"{_until(message)}. Use the reference up before the move, or lend instead of giving away."
    )


def _assigned_while_borrowed(message: Message) -> str:
    first = _first_borrow(message)
    return (
        f"{message.name} is assigned here, but it was borrowed {message.place(first, True)}"
        f"{_until(message)}. Assign after the last use of that reference, or copy the old value out first."
    )


def _behind_reference(message: Message) -> str:
    what = re.search(r"`([^`]+)`", next((x.says for x in message.labels if "move occurs" in x.says), ""))
    name = f"`{what[1]}`" if what else message.name
    return (
        f"{name} belongs to someone else: through a reference you may look at it, not take it. Borrow it (`&`), copy "
        "the plain numbers in it, take `self` by value, or leave something in its place (`std::mem::take`)."
    )


def _local(message: Message) -> str:
    found = re.search(r"(?:variable|parameter) (`[^`]+`)", message.text)
    what = found[1] if found else "a value made in this function"
    return (
        f"The result refers to {what}, which is freed when the function returns. Return the owned value (`String`, "
        "`Vec`), or borrow from an argument that outlives the call."
    )


def _not_mutable(message: Message) -> str:
    if "behind a `&` reference" in message.text or "is a `&` reference" in message.text:
        return (
            f"{message.name} is reached through a `&`, which only allows looking. Take `&mut` (`&mut self`) in the "
            "signature, or work on a copy."
        )
    return f"{message.name} is changed here, and its `let` has no `mut`. Write `let mut` (or `mut` before a parameter)."


def _mismatch(message: Message) -> str:
    found = next((x.says for x in message.labels if x.line == message.here and x.says.startswith("expected `")), "")
    if "found `String`" in found and "`&str`" in found:
        return f"{found}: lend the String with `&`."
    return f"{found}." if found else ""


def _words(text: str) -> Callable[[Message], str]:
    return lambda message: text.format(name=message.name)


_LIFETIME = (
    "One reference is kept where another, longer-lived one is promised. Say in the signature that they live equally "
    "long (one lifetime, `'t`, on both), or keep an owned value."
)
_UNSAFE = (
    "Outside `unsafe` Rust doesn't follow raw pointers: nothing proves that they are valid. Use a reference, an index "
    "or a slice."
)
_TEXTS: tuple[tuple[str, str], ...] = (
    (r"^lifetime may not live long enough", _LIFETIME),
    (
        r"^(?:usage of an `unsafe`|declaration of an `unsafe`|implementation of an `unsafe`)",
        "`unsafe` is forbidden here. It would not switch the borrow checker off anyway: it only allows raw pointers, "
        "and then the aliasing rules are yours to keep. Use an index or end the first borrow earlier.",
    ),
)
_CODES: dict[str, Callable[[Message], str]] = {
    "E0106": _words(
        "The compiler can't tell what this reference borrows from. Name the lifetime (`<'t>`) and write it on both: "
        "on the argument that is borrowed from, and here."
    ),
    "E0133": _words(_UNSAFE),
    "E0308": _mismatch,
    "E0373": _words(
        "The closure borrows {name} and may run after this function has ended. Write `move` before its `|`."
    ),
    "E0382": _moved,
    "E0499": _twice,
    "E0502": _read_and_changed,
    "E0505": _moved_while_borrowed,
    "E0506": _assigned_while_borrowed,
    "E0507": _behind_reference,
    "E0508": _behind_reference,
    "E0515": _local,
    "E0521": _words(_LIFETIME),
    "E0594": _not_mutable,
    "E0596": _not_mutable,
    "E0597": _too_short,
    "E0621": _words(_LIFETIME),
    "E0716": _temporary,
}
