"""The borrow checker's refusals are told with their cause: the line of the other borrow, and how long it lasts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import samples as s
from building import build, make_request

from tutor.toolchains.diagnose_rust import cargo_findings
from tutor.toolchains.registry import configure, toolchain
from tutor.toolchains.rustc_message import read_message

# Code, the compiler's text, the line of the finding, what must be told, what must not.
SAMPLES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "moved by for": (
        """error[E0382]: borrow of moved value: `entries`
  --> src/vocab.rs:89:13
   |
84 | fn rank(entries: Vec<Entry>) -> u32 {
   |         ------- move occurs because `entries` has type `Vec<Entry<'_>>`, which does not implement the `Copy` trait
85 |     let mut total = 0;
86 |     for entry in entries {
   |                  ------- `entries` moved due to this implicit call to `.into_iter()`
...
89 |     total + entries.len() as u32
   |             ^^^^^^^ value borrowed here after move
   |
note: `into_iter` takes ownership of the receiver `self`, which moves `entries`
  --> /rustc/59807616e1fa/library/core/src/iter/traits/collect.rs:312:17
help: consider iterating over a slice of the `Vec<Entry<'_>>`'s content to avoid moving into the `for` loop
   |
86 |     for entry in &entries {
   |                  +
""",
        89,
        ("(`Vec<Entry<'_>>`) was moved away on line 86 (`for entry in entries`)", "`for ... in &entries` only looks"),
    ),
    "moved into a call": (
        """error[E0382]: use of moved value: `entries`
  --> src/vocab.rs:94:9
   |
93 |     let n = take(entries);
   |                  ------- value moved here
94 |     n + entries.len()
   |         ^^^^^^^ value used here after move
""",
        94,
        ("moved away on line 93", "Lend it there (`&entries`"),
    ),
    "moved in a loop": (
        """error[E0382]: use of moved value: `entries`
  --> src/vocab.rs:98:31
   |
98 |     for _ in 0..3 { n += take(entries); }
   |     -------------             ^^^^^^^ value moved here, in previous iteration of loop
   |     |
   |     inside of this loop
""",
        98,
        ("in the first turn of the loop", "gone in the second"),
    ),
    "a method that takes self": (
        """error[E0382]: borrow of moved value: `v`
  --> src/vocab.rs:10:9
   |
 9 |     let n = v.into_boxed_slice().len();
   |               ------------------ `v` moved due to this method call
10 |     n + v.len()
   |         ^ value borrowed here after move
""",
        10,
        ("That method takes `self`", "iter()"),
    ),
    "returned in one branch": (
        """error[E0499]: cannot borrow `self.entries` as mutable more than once at a time
  --> src/vocab.rs:16:9
   |
12 |     pub fn slot(&mut self, word: &'t str) -> &mut Entry<'t> {
   |                 - let's call the lifetime of this reference `'1`
13 |         if let Some(entry) = self.find(word) {
   |                              ---- first mutable borrow occurs here
14 |             return entry;
   |                    ----- returning this value requires that `*self` is borrowed for `'1`
15 |         }
16 |         self.entries.push(Entry { word, count: 0 });
   |         ^^^^^^^^^^^^ second mutable borrow occurs here
""",
        16,
        ("made on line 13 (`if let Some(entry) = self.find(word)`)", "returned on line 14", "Look up an index"),
    ),
    "two elements": (
        """error[E0499]: cannot borrow `self.entries` as mutable more than once at a time
  --> src/vocab.rs:28:27
   |
27 |         let first = &mut self.entries[0];
   |                          ------------ first mutable borrow occurs here
28 |         let second = &mut self.entries[1];
   |                           ^^^^^^^^^^^^ second mutable borrow occurs here
29 |         first.count += second.count;
   |         --------------------------- first borrow later used here
""",
        28,
        ("as `&mut` on line 27", "still used on line 29", "split_at_mut"),
    ),
    "kept in a loop": (
        """error[E0499]: cannot borrow `v` as mutable more than once at a time
 --> src/vocab.rs:4:19
  |
4 |         keep.push(v.last_mut().unwrap());
  |         ----      ^ `v` was mutably borrowed here in the previous iteration of the loop
  |         |
  |         first borrow used here, in later iteration of loop
""",
        4,
        ("in every turn of the loop",),
    ),
    "changed while iterating": (
        """error[E0502]: cannot borrow `*self` as mutable because it is also borrowed as immutable
  --> src/vocab.rs:22:17
   |
20 |         for entry in &self.entries {
   |                      -------------
   |                      |
   |                      immutable borrow occurs here
   |                      immutable borrow later used here
21 |             if entry.count < min {
22 |                 self.forget(entry.word);
   |                 ^^^^^^^^^^^^^^^^^^^^^^^ mutable borrow occurs here
""",
        22,
        ("The loop on line 20", "borrows `self` for as long as it runs", "`retain`"),
    ),
    "changed while looked at": (
        """error[E0502]: cannot borrow `self.entries` as mutable because it is also borrowed as immutable
  --> src/vocab.rs:36:9
   |
35 |         let first = &self.entries[0];
   |                      ------------ immutable borrow occurs here
36 |         self.entries.push(Entry { word: "a", count: 1 });
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ mutable borrow occurs here
37 |         println!("{}", first.count);
   |                        ----------- immutable borrow later used here
""",
        36,
        ("read on line 35", "changed here", "still used on line 37"),
    ),
    "read while changed": (
        """error[E0502]: cannot borrow `*v` as immutable because it is also borrowed as mutable
  --> src/vocab.rs:19:13
   |
18 |     let n = &mut v[0];
   |                  - mutable borrow occurs here
19 |     let m = v.len();
   |             ^ immutable borrow occurs here
20 |     n.push('a');
   |     - mutable borrow later used here
""",
        19,
        ("`v` is borrowed as `&mut` on line 18", "read here", "still used on line 20"),
    ),
    "kept from the turn before": (
        """error[E0502]: cannot borrow `lowered` as mutable because it is also borrowed as immutable
  --> src/vocab.rs:77:9
   |
77 |         lowered.push(document.to_lowercase());
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ mutable borrow occurs here
78 |         for word in lowered.last().unwrap().split_whitespace() {
   |                     ------- immutable borrow occurs here
79 |             counter.slot(word).count += 1;
   |             ------- immutable borrow later used here
""",
        77,
        ("read on line 78", "when the loop comes round", "two loops"),
    ),
    "freed too early": (
        """error[E0597]: `lower` does not live long enough
  --> src/vocab.rs:67:21
   |
66 |         let lower = document.to_lowercase();
   |             ----- binding `lower` declared here
67 |         for word in lower.split_whitespace() {
   |                     ^^^^^ borrowed value does not live long enough
...
70 |     }
   |     - `lower` dropped here while still borrowed
71 |     counter.entries.len()
   |     --------------- borrow later used here
""",
        67,
        ("`lower` is freed on line 70", "still used on line 71", "Make `lower` before"),
    ),
    "no name": (
        """error[E0716]: temporary value dropped while borrowed
   --> src/vocab.rs:107:15
    |
107 |     let key = text.to_lowercase().as_str();
    |               ^^^^^^^^^^^^^^^^^^^         - temporary value is freed at the end of this statement
    |               |
    |               creates a temporary value which is freed while still in use
108 |     ids[key]
    |         --- borrow later used here
""",
        107,
        ("no name", "used on line 108", "Name it with `let` first"),
    ),
    "given away while borrowed": (
        """error[E0505]: cannot move out of `self.entries` because it is borrowed
  --> src/vocab.rs:47:14
   |
45 |     pub fn drop_it(self) {
   |                    ---- binding `self` declared here
46 |         let first = &self.entries[0];
   |                      ------------ borrow of `self.entries` occurs here
47 |         drop(self.entries);
   |              ^^^^^^^^^^^^ move out of `self.entries` occurs here
48 |         println!("{}", first.count);
   |                        ----------- borrow later used here
""",
        47,
        ("given away here", "borrowed on line 46", "still used on line 48"),
    ),
    "assigned while borrowed": (
        """error[E0506]: cannot assign to `n` because it is borrowed
  --> src/vocab.rs:42:9
   |
41 |         let r = &n;
   |                 -- `n` is borrowed here
42 |         n = 4;
   |         ^^^^^ `n` is assigned to here but it was already borrowed
43 |         println!("{}", r);
   |                        - borrow later used here
""",
        42,
        ("assigned here", "borrowed on line 41", "still used on line 43"),
    ),
    "taken through a reference": (
        """error[E0507]: cannot move out of `self.entries` which is behind a mutable reference
  --> src/vocab.rs:32:9
   |
32 |         self.entries
   |         ^^^^^^^^^^^^ move occurs because `self.entries` has type `Vec<Entry<'_>>`, which does not implement `Copy`
""",
        32,
        ("`self.entries` belongs to someone else", "mem::take"),
    ),
    "returned local": (
        """error[E0515]: cannot return value referencing local variable `lower`
   --> src/vocab.rs:112:5
    |
112 |     lower.as_str()
    |     -----^^^^^^^^^
    |     |
    |     returns a value referencing data owned by the current function
    |     `lower` is borrowed here
""",
        112,
        ("refers to `lower`", "Return the owned value"),
    ),
    "behind &": (
        """error[E0596]: cannot borrow `self.entries` as mutable, as it is behind a `&` reference
  --> src/vocab.rs:51:9
   |
51 |         self.entries.clear();
   |         ^^^^^^^^^^^^ `self` is a `&` reference, so it cannot be borrowed as mutable
""",
        51,
        ("reached through a `&`", "`&mut self`"),
    ),
    "no mut": (
        """error[E0596]: cannot borrow `v` as mutable, as it is not declared as mutable
  --> src/vocab.rs:53:9
   |
53 |         v.push(1);
   |         ^ cannot borrow as mutable
""",
        53,
        ("`v` is changed here", "`let mut`"),
    ),
    "two lifetimes": (
        """error: lifetime may not live long enough
   --> src/vocab.rs:119:39
    |
118 | pub fn longer<'a, 'b>(a: &'a str, b: &'b str) -> &'a str {
    |               --  -- lifetime `'b` defined here
    |               |
    |               lifetime `'a` defined here
119 |     if a.len() > b.len() { a } else { b }
    |                                       ^ function was supposed to return data with lifetime `'a`
""",
        119,
        ("longer-lived one is promised", "`'t`"),
    ),
    "forbidden": (
        """error: usage of an `unsafe` block
 --> src/vocab.rs:4:34
  |
4 |     pub fn a(x: &[u32]) -> u32 { unsafe { *x.as_ptr() } }
  |                                  ^^^^^^^^^^^^^^^^^^^^^^
  |
note: the lint level is defined here
 --> src/lib.rs:2:10
""",
        4,
        ("`unsafe` is forbidden here",),
    ),
    "raw pointer": (
        """error[E0133]: dereference of raw pointer is unsafe and requires unsafe function or block
 --> src/vocab.rs:8:38
  |
8 |     pub fn a(x: *const u32) -> u32 { *x }
  |                                      ^^ dereference of raw pointer
""",
        8,
        ("nothing proves that they are valid",),
    ),
    "types": (
        """error[E0308]: mismatched types
 --> src/vocab.rs:7:43
  |
7 |     pub fn arg2(a: String) -> usize { arg(a) + 1 }
  |                                       --- ^ expected `&str`, found `String`
  |                                       |
  |                                       arguments to this function are incorrect
""",
        7,
        ("expected `&str`, found `String`: lend the String with `&`",),
    ),
}
LIVE = """pub struct Heap {
    items: Vec<String>,
}

impl Heap {
    pub fn two(&mut self) -> usize {
        let a = &mut self.items;
        let b = &mut self.items;
        a.len() + b.len()
    }

    pub fn grow(&mut self) -> usize {
        let first = &self.items[0];
        self.items.push(String::new());
        first.len()
    }
}

pub fn short() -> usize {
    let mut kept: Vec<&str> = Vec::new();
    {
        let text = String::from("ab");
        kept.push(text.as_str());
    }
    kept.len()
}

pub fn gone(text: String) -> usize {
    drop(text);
    text.len()
}

#[no_mangle]
pub extern "C" fn count(n: i32) -> i32 {
    n
}
"""


@pytest.fixture
def parsed(tmp_path: Path):  # type: ignore[no-untyped-def]
    request = make_request(tmp_path, "rust", "four", {"src/vocab.rs": "", "src/lib.rs": ""})
    return lambda text: cargo_findings(request, text)


@pytest.mark.parametrize("name", SAMPLES)
def test_refusal_is_told_with_its_lines(parsed, name: str) -> None:  # type: ignore[no-untyped-def]
    text, line, told = SAMPLES[name]
    (finding,) = parsed(text + "\nerror: could not compile `four` (lib) due to 1 previous error\n")
    assert (finding.file, finding.line) == ("src/vocab.rs", line)
    for words in told:
        assert words in finding.message
    assert re.search(r"\([a-z`].*\)$", finding.message), "the compiler's own sentence stands at the end"
    assert "clone" not in finding.message


def test_one_borrow_in_the_way_of_two_lines_is_told_once(parsed) -> None:  # type: ignore[no-untyped-def]
    first = SAMPLES["returned in one branch"][0]
    second = first.replace(":16:9", ":17:9").replace("16 |", "17 |").replace("push(Entry { word, count: 0 })", "pop()")
    assert [f.line for f in parsed(first + "\n" + second)] == [16]
    read = first.replace("E0499", "E0502").replace(
        "mutable more than once at a time", "immutable because it is also borrowed as mutable"
    )
    assert [f.line for f in parsed(first + "\n" + read.replace("first mutable", "mutable"))] == [16]
    other = SAMPLES["two elements"][0]
    assert [f.line for f in parsed(first + "\n" + other)] == [16, 28]


def test_suggestions_are_not_read_as_remarks() -> None:
    message = read_message("borrow of moved value: `entries`", SAMPLES["moved by for"][0].splitlines()[1:])
    assert [label.line for label in message.labels] == [84, 86, 89]
    assert message.here == 89


def test_other_errors_keep_the_compilers_words(parsed) -> None:  # type: ignore[no-untyped-def]
    text = "error[E0425]: cannot find value `x` in this scope\n --> src/vocab.rs:3:5\n  |\n3 |     x\n  |     ^\n"
    assert [f.message for f in parsed(text)] == ["cannot find value `x` in this scope [E0425]"]


def test_the_installed_compiler_is_understood(tmp_path: Path, cache: Path) -> None:
    configure(cache, "gcc")
    found = toolchain("rust").probe()
    if not found.ready:
        pytest.skip(f"rust: {found.missing}")
    given = {"Cargo.toml": s.CARGO_TOML, "Cargo.lock": s.CARGO_LOCK}
    built = build(make_request(tmp_path, "rust", "four", {"src/lib.rs": LIVE}, given))
    told = {f.line: f.message for f in built.findings}
    line = {name: s.line_of(LIVE, text) for name, text in (
        ("first", "let a = &mut"), ("second", "let b = &mut"), ("look", "let first"), ("change", "items.push"),
        ("borrow", "kept.push"), ("moved", "drop(text)"), ("used", "    text.len()"),
    )}  # fmt: skip
    assert set(told) == {line["second"], line["change"], line["borrow"], line["used"]}, built.output
    assert f"as `&mut` on line {line['first']}" in told[line["second"]]
    assert f"read on line {line['look']}" in told[line["change"]]
    assert f"freed on line {line['borrow'] + 1}" in told[line["borrow"]]
    assert f"moved away on line {line['moved']}" in told[line["used"]]
